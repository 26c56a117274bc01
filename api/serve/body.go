package serve

// errorBody is the body of every error.
type errorBody struct {
	Error errorDetail `json:"error"`
}

// errorDetail is what went wrong. Clients choose their exception by code and type.
type errorDetail struct {
	Message string `json:"message"`
	Type    string `json:"type"`
	Code    int    `json:"code"`
}

package wire

// Error is the body of every error.
type Error struct {
	Error ErrorDetail `json:"error"`
}

// ErrorDetail is what went wrong. Clients choose their exception by code and type.
type ErrorDetail struct {
	Message string `json:"message"`
	Type    string `json:"type"`
	Code    int    `json:"code"`
}

// OAuthError is the body of errors of the token endpoint, as OAuth 2 has them.
type OAuthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

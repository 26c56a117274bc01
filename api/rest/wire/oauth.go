package wire

// OAuthError is the body of errors of the token endpoint, as OAuth 2 has them.
type OAuthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

package wire

// OAuthError is the body of errors of the token endpoint, as OAuth 2 has them.
type OAuthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// OAuthToken is an answer of the token endpoint, as OAuth 2 has it.
type OAuthToken struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	// ExpiresIn is in seconds.
	ExpiresIn int64 `json:"expires_in"`
	// IssuedTokenType is the type of what an exchange gives.
	IssuedTokenType string `json:"issued_token_type,omitempty"`
}

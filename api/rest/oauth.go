package rest

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/api/middleware"
	"github.com/floeberg/floeberg/api/rest/wire"
	"github.com/floeberg/floeberg/api/serve"
)

// Open is the operations of the protocol that are answered to everybody.
func Open() []serve.OpenRoute {
	return []serve.OpenRoute{{Method: http.MethodPost, Path: "/v1/oauth/tokens", Handle: tokens}}
}

// tokens tells clients that were given a credential instead of a token what to
// do. They come here before anything else and without a key, and print the text
// of an OAuth error only with this status.
func tokens(g *gin.Context) {
	middleware.SetErrorType(g, "unsupported_grant_type")
	serve.WriteJSON(g, http.StatusBadRequest, wire.OAuthError{
		Error:       "unsupported_grant_type",
		Description: "This catalog issues no tokens: set the client's property token to an API key, and leave credential unset",
	})
}

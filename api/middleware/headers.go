package middleware

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
)

// ErrHeaders is returned when a request has more header fields than any client sends.
var ErrHeaders = errors.New("too many header fields")

// SecureHeaders sets what tells browsers to do nothing with an answer but to hand
// it to who asked: it is no page, no script and no frame, and is never guessed to be
// one. What is a page sets a policy of its own. Over TLS browsers are told to stay with
// it: the certificate is there, and who is asked for the first time in the clear
// can be led elsewhere.
func SecureHeaders(h http.Header, encrypted bool) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if encrypted {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// BoundHeaders turns requests away that have more than n header fields. How large
// they may be all together is the server's matter.
func BoundHeaders(n int) gin.HandlerFunc {
	return func(c *gin.Context) {
		fields := 0
		for _, values := range c.Request.Header {
			fields += len(values)
		}
		if fields > n {
			Fail(c, ErrHeaders)
			return
		}
		c.Next()
	}
}

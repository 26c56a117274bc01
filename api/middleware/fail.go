package middleware

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// Fail ends a request with an error; AnswerErrors turns it into the answer.
func Fail(c *gin.Context, err error) {
	_ = c.Error(err) // it returns its argument, wrapped
	c.Abort()
}

// AnswerErrors calls answer with the error that a request ended with, so that
// the form of errors is chosen in one place. An answer that was already begun
// can't be mended: its connection is broken instead, so that the client does not
// take a part for the whole.
func AnswerErrors(answer func(*gin.Context, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Next()
		last := c.Errors.Last()
		switch {
		case last == nil:
		case c.Writer.Written():
			panic(http.ErrAbortHandler)
		default:
			answer(c, last.Err)
		}
	}
}

package middleware

import "github.com/gin-gonic/gin"

// Fail ends a request with an error; AnswerErrors turns it into the answer.
func Fail(c *gin.Context, err error) {
	_ = c.Error(err) // it returns its argument, wrapped
	c.Abort()
}

// AnswerErrors calls answer with the error that a request ended with, so that
// the form of errors is chosen in one place.
func AnswerErrors(answer func(*gin.Context, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Next()
		if last := c.Errors.Last(); last != nil && !c.Writer.Written() {
			answer(c, last.Err)
		}
	}
}

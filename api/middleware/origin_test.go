package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/floeberg/floeberg/api/middleware"
)

func TestOrigins(t *testing.T) {
	t.Parallel()
	const page = "https://console.example.com"
	for name, tc := range map[string]struct {
		allowed []string
		method  string
		header  map[string]string
		status  int
		allow   string // Access-Control-Allow-Origin
	}{
		"no browser":                      {nil, "POST", nil, 200, ""},
		"the node's own page":             {nil, "POST", map[string]string{"Origin": "http://node", "Sec-Fetch-Site": "same-origin"}, 200, ""},
		"its own, by an old browser":      {nil, "POST", map[string]string{"Origin": "http://node"}, 200, ""},
		"a page of others":                {nil, "POST", map[string]string{"Origin": page}, 403, ""},
		"that a browser calls cross-site": {nil, "POST", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, ""},
		"that only looks":                 {nil, "GET", map[string]string{"Origin": page, "Sec-Fetch-Site": "cross-site"}, 200, ""},
		"that asks first":                 {nil, "OPTIONS", map[string]string{"Origin": page, "Access-Control-Request-Method": "DELETE"}, 405, ""},
		"from nowhere":                    {nil, "POST", map[string]string{"Origin": "null"}, 403, ""},
		"allowed":                         {[]string{page}, "POST", map[string]string{"Origin": page, "Sec-Fetch-Site": "cross-site"}, 200, page},
		"allowed, asks first":             {[]string{page}, "OPTIONS", map[string]string{"Origin": page, "Access-Control-Request-Method": "DELETE"}, 204, page},
		"one like it":                     {[]string{page}, "POST", map[string]string{"Origin": page + ".evil.example"}, 403, ""},
		"with another scheme":             {[]string{page}, "GET", map[string]string{"Origin": "http://console.example.com"}, 200, ""},
		"OPTIONS that asks nothing":       {[]string{page}, "OPTIONS", map[string]string{"Origin": page}, 405, page},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := engine(middleware.AnswerErrors(func(c *gin.Context, _ error) { c.String(403, "") }), middleware.Origins(tc.allowed))
			e.HandleMethodNotAllowed = true
			e.Handle("GET", "/", func(c *gin.Context) { c.String(200, "") })
			e.Handle("POST", "/", func(c *gin.Context) { c.String(200, "") })
			r := httptest.NewRequest(tc.method, "http://node/", nil)
			for k, v := range tc.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			h := w.Result().Header
			if w.Code != tc.status || h.Get("Access-Control-Allow-Origin") != tc.allow {
				t.Errorf("%d %v", w.Code, h)
			}
			if vary := h.Get("Vary") == "Origin"; vary != (tc.allowed != nil) {
				t.Errorf("Vary: %q", h.Get("Vary"))
			}
			if h.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies are allowed")
			}
			if asked := tc.status == http.StatusNoContent; asked != (h.Get("Access-Control-Allow-Methods") != "") || asked != (h.Get("Access-Control-Max-Age") != "") {
				t.Errorf("%v", h)
			}
		})
	}
}

// Package api describes what the packages below it serve beside the Iceberg REST
// protocol.
package api

import (
	_ "embed" // for the description
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"
	"go.yaml.in/yaml/v3"

	"github.com/floeberg/floeberg/api/serve"
)

//go:embed openapi.yaml
var description []byte

// DescriptionYAML is the OpenAPI description as it was written.
func DescriptionYAML() []byte { return description }

// DescriptionJSON is the OpenAPI description as tools read it.
var DescriptionJSON = sync.OnceValues(func() ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(description, &doc); err != nil {
		return nil, fmt.Errorf("api: openapi.yaml: %w", err)
	}
	out, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("api: openapi.yaml: %w", err)
	}
	return out, nil
})

// Open is the description's own path, which is answered to everybody.
func Open() ([]serve.OpenRoute, error) {
	doc, err := DescriptionJSON()
	if err != nil {
		return nil, err
	}
	return []serve.OpenRoute{{Method: http.MethodGet, Path: "/openapi.json", Handle: func(g *gin.Context) {
		g.Data(http.StatusOK, "application/json", doc)
	}}}, nil
}

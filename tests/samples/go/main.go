// A web server without a Dockerfile.
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello from go") })
	fmt.Println(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}

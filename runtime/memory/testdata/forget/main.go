// Forget gives its pages back, and needs them again.
package main

import (
	"fmt"
	"runtime"

	"github.com/edge-infer/edge-infer/runtime/memory"
)

func main() {
	memory.ForgetProgram()
	runtime.GC()
	fmt.Println("still here")
}

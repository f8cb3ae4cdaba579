// Command edge-infer runs small language models on small boards, offline. Each subcommand has its file, which parses flags,
// calls the packages that do the work, and prints. Results go to standard output and nothing else does; exit.go gives every
// error its exit code.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/edge-infer/edge-infer/runtime/memory"
)

func main() {
	memory.SmallPages()
	goruntime.MemProfileRate = 0 // nobody reads the profile, and its table takes memory
	if free := memory.Available().Bytes; free > 0 && free < plenty {
		memory.ReadProgramSparsely()
	}
	os.Exit(run(os.Args[1:]))
}

// plenty is memory for the program and all that a disk may read ahead around a page of it.
const plenty = 32 << 20

// run is the whole program but for os.Exit.
func run(args []string) int {
	// A reader that has seen enough (head) makes a write fail instead of killing the program: see errReaderGone.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first Ctrl-C asks the work to end and clean up; a second one ends the program where it stands.
	context.AfterFunc(ctx, stop)

	root := newRootCommand()
	root.SetArgs(joinHeader(args))
	err := root.ExecuteContext(ctx)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if message := describe(err); message != "" {
		fmt.Fprintln(os.Stderr, "edge-infer:", message)
	}
	return exitCode(err)
}

// joinHeader makes --header yes and --header no one word, --header=yes: a flag that may stand alone takes no word after it.
func joinHeader(args []string) []string {
	args = slices.Clone(args)
	if i := slices.Index(args, "--header"); i >= 0 && i+1 < len(args) && (args[i+1] == "yes" || args[i+1] == "no") {
		args[i] += "=" + args[i+1]
		args = slices.Delete(args, i+1, i+2)
	}
	return args
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "edge-infer",
		Short: "Language models on small boards, offline",
		Long: `edge-infer runs small language models on small boards: one file to copy, no
network, no Python, and the same answer on every machine.

  edge-infer translate 我正在吃饭             Chinese in, English out
  edge-infer translate < zh.txt > en.txt      a whole file, line by line
  edge-infer classify 5.1,3.5,1.4,0.2         setosa
  edge-infer convert opus-mt-zh-en/ -o zh-en.ei8
                                              a model trained elsewhere
  edge-infer translate -m zh-en.ei8 你好      ... and put to work

Exit codes: 0 fine, 1 wrong input, 2 wrong use, 3 a model that cannot be read or
is not the right one, 4 not enough memory, 5 could not read or write, 130 Ctrl-C.`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			near := cmd.SuggestionsFor(args[0])
			hint := "edge-infer --help lists the commands"
			switch {
			case len(near) > 0:
				hint = "did you mean " + strings.Join(near, " or ") + "?"
			case args[0] != "" && args[0][0] >= 0x80:
				hint = "to translate it: edge-infer translate " + args[0]
			}
			return &usageError{fmt.Sprintf("there is no command %q", args[0]), hint}
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	// Our first page is shorter than cobra's, which the subcommands keep.
	subcommandHelp := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if cmd != root {
			subcommandHelp(cmd, args)
			return
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n\nCommands:\n", cmd.Long)
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(cmd.OutOrStdout(), "  %-12s %s\n", c.Name(), c.Short)
			}
		}
		fmt.Fprintln(cmd.OutOrStdout(), "\nedge-infer COMMAND --help shows how, with examples.")
	})
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newTranslateCommand(), newClassifyCommand(), newCompleteCommand(), newRecallCommand(), newRunCommand(), newConvertCommand(), newInspectCommand(), newKernelsCommand(), newBoardsCommand(), newBenchCommand(), newVersionCommand())
	// cobra writes the completion scripts; made now, so that their mistakes of use get our exit code.
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			c.Short = "Completion of commands and flags with the Tab key, for your shell"
			c.Args = func(_ *cobra.Command, args []string) error {
				if len(args) > 0 {
					return &usageError{fmt.Sprintf("no completion is known for %q", args[0]), "take bash, zsh, fish or powershell"}
				}
				return nil
			}
			c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			for _, shell := range c.Commands() {
				shell.Args = noArguments
			}
		case "help":
			c.Args = func(_ *cobra.Command, args []string) error {
				if found, _, err := root.Find(args); err != nil || found == root && len(args) > 0 {
					return root.Args(root, args)
				}
				return nil
			}
		}
	}
	return root
}

// noArguments is for commands that take flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Sprintf("%s takes no argument, but was given %q", cmd.CommandPath(), args[0]),
			cmd.CommandPath() + " --help says more"}
	}
	return nil
}

// flagError turns what the flag parser says into wrong use, and names the flags that are spelled almost like an unknown one.
func flagError(cmd *cobra.Command, err error) error {
	hint := cmd.CommandPath() + " --help lists the flags"
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && len(unknown.GetSpecifiedName()) > 1 {
		near := []string{}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && distance(unknown.GetSpecifiedName(), f.Name) <= 2 {
				near = append(near, "--"+f.Name)
			}
		})
		if len(near) > 0 {
			hint = "did you mean " + strings.Join(near, " or ") + "?"
		}
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		for kind, what := range map[string]string{"int": "a whole number", "float": "a number", "bool": "true or false, behind an equals sign"} {
			if flag := invalid.GetFlag(); strings.HasPrefix(flag.Value.Type(), kind) {
				return &usageError{fmt.Sprintf("--%s is %q, must be %s", flag.Name, invalid.GetValue(), what), hint}
			}
		}
	}
	return &usageError{err.Error(), hint}
}

// distance counts the letters to insert, delete or replace between two names (Levenshtein), row by row.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

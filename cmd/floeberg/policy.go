package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/floeberg/floeberg/api/client"
	"github.com/floeberg/floeberg/api/management"
)

const policiesPath = "/management/v1/policies"

func policyCommand() *cobra.Command {
	cmd, connect := remoteCommand("policy", "Look at the policies that decide who may do what, and change them",
		`There is one set of policies for the cluster and, with --warehouse, one for each
warehouse. They are written in Cedar. Each change makes a new version; earlier ones can
be looked at, compared and put in force again. Version 0 is what there was before
anything was put: of the cluster the ready-made policies, of a warehouse none.

  floeberg policy get > policies.cedar
  $EDITOR policies.cedar
  floeberg policy validate policies.cedar
  floeberg policy put policies.cedar --expect 3 --comment "the new team"`)
	cmd.PersistentFlags().Lookup("warehouse").Usage = "whose policies are meant, by a warehouse's name (default the cluster's)"
	open := func(cmd *cobra.Command) (*policySet, error) {
		query, err := policyQuery(cmd)
		if err != nil {
			return nil, err
		}
		r, err := connect(cmd)
		if err != nil {
			return nil, err
		}
		return &policySet{remote: r, query: query}, nil
	}
	cmd.AddCommand(
		policyGetCommand(open), policyPutCommand(open), policyValidateCommand(open), policyHistoryCommand(open),
		policyDiffCommand(open), policyRollbackCommand(open), policyExplainCommand(open), policyTryCommand(open), policyListCommand(connect),
	)
	return cmd
}

// policySet is the node that a command on policies speaks to, and whose they are.
type policySet struct {
	*remote
	query url.Values
}

// openPolicies reads the flags of a command on policies. What it returns is closed with
// Close.
type openPolicies func(cmd *cobra.Command) (*policySet, error)

// at is a path of the set's.
func (p *policySet) at(path string) string {
	path = policiesPath + path
	if len(p.query) == 0 {
		return path
	}
	return path + "?" + p.query.Encode()
}

// policyQuery says whose policies are meant.
func policyQuery(cmd *cobra.Command) (url.Values, error) {
	query := url.Values{}
	if !cmd.Flags().Changed("warehouse") {
		return query, nil
	}
	warehouse, err := cmd.Flags().GetString("warehouse")
	if err != nil {
		return nil, err
	}
	if warehouse == "" {
		// Most often a shell's variable that is not set; the cluster's policies are not meant.
		return nil, &usageError{errors.New("--warehouse: it is empty; leave it out for the policies of the cluster")}
	}
	query.Set("warehouse", warehouse)
	return query, nil
}

func policyGetCommand(open openPolicies) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Print the policies, as they can be put again",
		Args:  noArgs,
	}
	version := cmd.Flags().Uint64("version", 0, "which version (default the one in force)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, err := open(cmd)
		if err != nil {
			return err
		}
		defer p.Close()
		if cmd.Flags().Changed("version") {
			p.query.Set("version", strconv.FormatUint(*version, 10))
		}
		var v management.PolicyVersion
		if err := p.Get(cmd.Context(), policiesPath, p.query, &v); err != nil {
			return err
		}
		return p.print(v, func(w io.Writer) error {
			fmt.Fprintln(p.err, policyTitle(&v))
			_, err := io.WriteString(w, text(v.Text))
			return err
		})
	}
	return cmd
}

// policyTitle is a version in a line.
func policyTitle(v *management.PolicyVersion) string {
	title := "version " + strconv.FormatUint(v.Version, 10)
	if v.CreatedAt == nil {
		title += ", which was there from the start"
	} else {
		title += fmt.Sprintf(", put by %s (%s) at %s", text(v.Author), text(v.AuthorName), timeText(*v.CreatedAt))
	}
	if !v.InForce {
		title += ", not in force"
	}
	return title
}

// termsFlags adds the flags of a change of policies.
func termsFlags(cmd *cobra.Command) func() management.PolicyTerms {
	flags := cmd.Flags()
	flags.SortFlags = false
	expect := flags.Uint64("expect", 0, "the version that must be in force until then (default any)")
	comment := flags.String("comment", "", "what to say about it in the history")
	force := flags.Bool("force", false, "do it though you may not be able to change it back")
	return func() management.PolicyTerms {
		terms := management.PolicyTerms{Comment: *comment, Force: *force}
		if flags.Changed("expect") {
			terms.ExpectedVersion = expect
		}
		return terms
	}
}

// readPolicies reads a file of policies; - is standard input.
func readPolicies(cmd *cobra.Command, path string) (string, error) {
	if path == "-" {
		raw, err := io.ReadAll(cmd.InOrStdin())
		if err != nil {
			return "", fmt.Errorf("reading the policies: %w", err)
		}
		return string(raw), nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", &usageError{err}
	}
	return string(raw), nil
}

func policyPutCommand(open openPolicies) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "put FILE",
		Short: "Put policies in force in the place of those that are; - reads standard input",
		Long: `Put policies in force in the place of those that are; - reads standard input. They hold
on all nodes from then on. What is not valid is refused, and so is, without --force, what
would take from you the right to change them again.`,
		Args: oneArg("a file of policies"),
	}
	terms := termsFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := open(cmd)
		if err != nil {
			return err
		}
		defer p.Close()
		policies, err := readPolicies(cmd, args[0])
		if err != nil {
			return err
		}
		var v management.PolicyVersion
		body := management.PutPolicies{Text: policies, PolicyTerms: terms()}
		if err := p.Put(cmd.Context(), p.at(""), body, &v); err != nil {
			return err
		}
		return printPolicyChange(p.remote, &v)
	}
	return cmd
}

func policyRollbackCommand(open openPolicies) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback VERSION",
		Short: "Put an earlier version in force again, as a new one",
		Args:  oneArg("the number of a version"),
	}
	terms := termsFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		version, err := versionArg(args[0])
		if err != nil {
			return err
		}
		p, err := open(cmd)
		if err != nil {
			return err
		}
		defer p.Close()
		var v management.PolicyVersion
		body := management.RollbackPolicies{Version: &version, PolicyTerms: terms()}
		if err := p.Post(cmd.Context(), p.at("/rollback"), body, &v); err != nil {
			return err
		}
		return printPolicyChange(p.remote, &v)
	}
	return cmd
}

func versionArg(text string) (uint64, error) {
	version, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, &usageError{fmt.Errorf("expected the number of a version, not %q", text)}
	}
	return version, nil
}

// printPolicyChange prints what is in force now. The text is known to the one who put it.
func printPolicyChange(r *remote, v *management.PolicyVersion) error {
	v.Text = nil
	return r.print(v, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, policyTitle(v))
		return err
	})
}

// errNotValid is returned when policies are not valid; what is wrong was printed.
var errNotValid = errors.New("the policies are not valid")

func policyValidateCommand(open openPolicies) *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE",
		Short: "Say what is wrong with policies, and change nothing; - reads standard input",
		Args:  oneArg("a file of policies"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := open(cmd)
			if err != nil {
				return err
			}
			defer p.Close()
			policies, err := readPolicies(cmd, args[0])
			if err != nil {
				return err
			}
			var verdict management.PolicyVerdict
			if err := p.Post(cmd.Context(), p.at("/validate"), management.ValidatePolicies{Text: policies}, &verdict); err != nil {
				return err
			}
			if err := p.print(verdict, func(w io.Writer) error { return writeVerdict(w, args[0], &verdict) }); err != nil {
				return err
			}
			if !verdict.Valid {
				return errNotValid
			}
			return nil
		},
	}
}

// writeVerdict says what is wrong as compilers do, so that editors find the line.
func writeVerdict(w io.Writer, file string, verdict *management.PolicyVerdict) error {
	if verdict.Valid {
		_, err := fmt.Fprintf(w, "%d policies, all valid\n", verdict.Policies)
		return err
	}
	for _, p := range verdict.Problems {
		place := file
		if p.Line != nil {
			place += ":" + strconv.Itoa(*p.Line)
		}
		if p.Policy != nil {
			place += ": policy " + strconv.Quote(*p.Policy)
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", place, cell(p.Message)); err != nil {
			return err
		}
	}
	if verdict.More == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "and %d more\n", verdict.More)
	return err
}

func policyHistoryCommand(open openPolicies) *cobra.Command {
	return &cobra.Command{
		Use:   "history",
		Short: "List the versions that are kept, the newest first: who put them, when, and what was said",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := open(cmd)
			if err != nil {
				return err
			}
			defer p.Close()
			list := []management.PolicyVersion{}
			next := func(page *management.PolicyHistory) string { return page.NextPageToken }
			for page, err := range client.Pages(cmd.Context(), p.Client, policiesPath+"/history", p.query, next) {
				if err != nil {
					return err
				}
				list = append(list, page.Versions...)
			}
			return p.print(list, func(w io.Writer) error { return writePolicyVersions(w, list) })
		},
	}
}

func writePolicyVersions(w io.Writer, list []management.PolicyVersion) error {
	rows := make([][]string, len(list))
	for i, v := range list {
		notes := v.Comment
		if v.RolledBackTo != nil {
			notes = fmt.Sprintf("(version %d again) %s", *v.RolledBackTo, notes)
		}
		if v.Forced {
			notes = "(forced) " + notes
		}
		rows[i] = []string{strconv.FormatUint(v.Version, 10), yesNo(v.InForce), momentText(v.CreatedAt), orDash(text(v.Author)), orDash(text(v.AuthorName)), orDash(notes)}
	}
	return writeTable(w, []string{"VERSION", "IN FORCE", "CREATED", "AUTHOR", "NAME", "COMMENT"}, rows)
}

func policyListCommand(connect connect) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the sets of policies: the cluster's, and of the warehouses that have some",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("warehouse") {
				return &usageError{errors.New("--warehouse: all sets are listed; leave it out, or ask for one with policy get")}
			}
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			defer r.Close()
			list := []management.PolicyVersion{}
			rows := [][]string{}
			next := func(page *management.PolicySets) string { return page.NextPageToken }
			for page, err := range client.Pages(cmd.Context(), r.Client, policiesPath+"/sets", nil, next) {
				if err != nil {
					return err
				}
				for _, v := range page.Sets {
					scope := "(the cluster)"
					if v.Warehouse != nil {
						scope = *v.Warehouse
					}
					list = append(list, v)
					rows = append(rows, []string{scope, strconv.FormatUint(v.Version, 10), momentText(v.CreatedAt), orDash(text(v.AuthorName))})
				}
			}
			return r.print(list, func(w io.Writer) error {
				return writeTable(w, []string{"WAREHOUSE", "VERSION", "CREATED", "AUTHOR"}, rows)
			})
		},
	}
}

func policyDiffCommand(open openPolicies) *cobra.Command {
	return &cobra.Command{
		Use:   "diff FROM [TO]",
		Short: "Compare two versions; without the second, with the one in force",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return &usageError{fmt.Errorf("expected the numbers of one or two versions, not %d arguments (see %s --help)", len(args), cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := open(cmd)
			if err != nil {
				return err
			}
			defer p.Close()
			for i, name := range []string{"from", "to"}[:len(args)] {
				version, err := versionArg(args[i])
				if err != nil {
					return err
				}
				p.query.Set(name, strconv.FormatUint(version, 10))
			}
			var diff management.PolicyDiff
			if err := p.Get(cmd.Context(), policiesPath+"/diff", p.query, &diff); err != nil {
				return err
			}
			return p.print(diff, func(w io.Writer) error {
				_, err := io.WriteString(w, diff.Diff)
				return err
			})
		},
	}
}

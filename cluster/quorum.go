package cluster

import (
	"fmt"
	"slices"
)

// quorum is how many of so many voters must agree.
func quorum(voters int) int { return voters/2 + 1 }

// tolerance is how many more voters may fail before there is no quorum.
func tolerance(voters, answering int) int { return max(answering-quorum(voters), 0) }

// counted is "1 voter" or "3 voters".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// answer is "1 answers" or "2 answer".
func answer(n int) string {
	if n == 1 {
		return "1 answers"
	}
	return fmt.Sprintf("%d answer", n)
}

// lossOf tells why a voter can't be taken away, with the arithmetic; "" where it
// can be. doing is what is to be done, such as "removing n2".
func lossOf(doing, id string, voters, answering []string) string {
	if len(voters) == 1 {
		return fmt.Sprintf("%s would leave no voter: it is the only one", doing)
	}
	left := len(voters) - 1
	there := 0
	for _, v := range answering {
		if v != id && slices.Contains(voters, v) {
			there++
		}
	}
	if there >= quorum(left) {
		return ""
	}
	return fmt.Sprintf("%s, %s: %s would leave %s of which %s, and %d are needed for a quorum",
		counted(len(voters), "voter"), answer(len(answering)), doing, counted(left, "voter"), answer(there), quorum(left))
}

// gainOf tells why a voter can't be added, with the arithmetic; "" where it can
// be. The new one answers.
func gainOf(id string, voters, answering []string) string {
	all, there := len(voters)+1, len(answering)+1
	if there >= quorum(all) {
		return ""
	}
	return fmt.Sprintf("%s, %s: promoting %s would make %s of which %s, and %d are needed for a quorum",
		counted(len(voters), "voter"), answer(len(answering)), id, counted(all, "voter"), answer(there), quorum(all))
}

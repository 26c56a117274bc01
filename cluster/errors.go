package cluster

import "errors"

var (
	// ErrUnavailable is returned when there was no leader to do it before the
	// deadline. A proposal that ends so was never applied and never will be.
	ErrUnavailable = errors.New("cluster: no leader could be reached in time")
	// ErrUnknown is returned when a transaction was proposed and its outcome was
	// not learned before the deadline: it may have been applied or not.
	ErrUnknown = errors.New("cluster: the outcome of the proposal is not known")
	// ErrBusy is returned when too much is waiting already. Nothing was proposed.
	ErrBusy = errors.New("cluster: too many proposals are waiting")
	// ErrInvalidTransaction is returned when a transaction breaks a rule and can
	// never be proposed.
	ErrInvalidTransaction = errors.New("cluster: invalid transaction")
	// ErrClosed is returned once the node is shut down.
	ErrClosed = errors.New("cluster: the node is shut down")
	// ErrInUse is returned when another process holds the data folder.
	ErrInUse = errors.New("cluster: the data folder is in use by another process")
	// ErrLogLost is returned when the state machine is ahead of the log.
	ErrLogLost = errors.New("cluster: the raft log is behind the state machine")
	// ErrLogCut is returned when entries of the log are no longer there: a snapshot
	// has taken their place.
	ErrLogCut = errors.New("cluster: the entry was cut off the log")
	// ErrTooOld is returned when the log holds commands that this program does not know.
	ErrTooOld = errors.New("cluster: this program is too old for its data folder")
	// ErrDamaged is returned when a file of this node's is not what was written.
	ErrDamaged = errors.New("cluster: damaged file")
	// ErrDiverged is the reason of a node whose state is not that of the others.
	ErrDiverged = errors.New("its state is not that of the others")
	// ErrStopped is returned when a node must not run with the folder that it has.
	ErrStopped = errors.New("cluster: this node was stopped for good")
	// ErrNoRemains is returned when a folder has nothing to recover a cluster from.
	ErrNoRemains = errors.New("cluster: nothing to recover from")
	// ErrRemoved is returned when the node is no longer a member of its cluster.
	ErrRemoved = errors.New("cluster: this node was removed from the cluster")
	// ErrRefused is returned when a change of the membership was not made, because it
	// would do harm or can't be made; see Refusal.
	ErrRefused = errors.New("cluster: refused")
	// ErrNoSuchNode is returned when a named node is neither a member nor seen.
	ErrNoSuchNode = errors.New("cluster: no such node")
	// ErrNotReady is returned when a node should get no requests now.
	ErrNotReady = errors.New("cluster: not ready")
	// ErrOptions is returned when options contradict each other or lack something.
	ErrOptions = errors.New("cluster: bad options")
)

// The reasons for which one attempt at something fails and another may succeed.
// They stay inside: callers see them only wrapped in ErrUnavailable.
var (
	errNoLeader     = errors.New("no leader is known")
	errNotLeader    = errors.New("not the leader")
	errTermNotOpen  = errors.New("the leader has not yet applied an entry of its term")
	errNotDialled   = errors.New("no connection")
	errOtherCluster = errors.New("the node belongs to another cluster")
)

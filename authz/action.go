package authz

// Action is what is to be done. Names are written into policies: they are never
// renamed.
type Action string

// The actions.
const (
	ActionGetConfig       Action = "GetConfig"
	ActionListWarehouses  Action = "ListWarehouses"
	ActionShowWarehouse   Action = "ShowWarehouse"
	ActionListNamespaces  Action = "ListNamespaces"
	ActionLoadNamespace   Action = "LoadNamespace"
	ActionListTables      Action = "ListTables"
	ActionLoadTable       Action = "LoadTable"
	ActionCreateNamespace Action = "CreateNamespace"
	ActionUpdateNamespace Action = "UpdateNamespace"
	ActionDropNamespace   Action = "DropNamespace"
	ActionCreateTable     Action = "CreateTable"
	ActionCommitTable     Action = "CommitTable"
	ActionDropTable       Action = "DropTable"
	ActionRegisterTable   Action = "RegisterTable"
	ActionUnregisterTable Action = "UnregisterTable"
	ActionRenameTable     Action = "RenameTable"
	ActionReportMetrics   Action = "ReportMetrics"
	ActionListReports     Action = "ListReports"
	ActionVerifyTable     Action = "VerifyTable"
	ActionRebuildTable    Action = "RebuildTable"
	ActionListViews       Action = "ListViews"
	ActionLoadView        Action = "LoadView"
	ActionCreateView      Action = "CreateView"
	ActionReplaceView     Action = "ReplaceView"
	ActionDropView        Action = "DropView"
	ActionRegisterView    Action = "RegisterView"
	ActionRenameView      Action = "RenameView"
	ActionListTasks       Action = "ListTasks"
	ActionCancelTask      Action = "CancelTask"
	ActionListBackups     Action = "ListBackups"
	ActionCreateBackup    Action = "CreateBackup"
	ActionVerifyBackup    Action = "VerifyBackup"
	ActionRestoreBackup   Action = "RestoreBackup"
	ActionListKeys        Action = "ListKeys"
	ActionManageKeys      Action = "ManageKeys"
	ActionShowCluster     Action = "ShowCluster"
	ActionManageCluster   Action = "ManageCluster"
	ActionCreateWarehouse Action = "CreateWarehouse"
	ActionManageWarehouse Action = "ManageWarehouse"
	ActionShowPolicies    Action = "ShowPolicies"
	ActionManagePolicies  Action = "ManagePolicies"
	ActionShowSecrets     Action = "ShowSecrets"
	ActionManageSecrets   Action = "ManageSecrets"
	ActionReadAudit       Action = "ReadAudit"
)

// Class groups actions by what they touch, so that a rule can speak of all
// actions of a kind and a new action falls under it.
type Class uint8

// The classes.
const (
	// ClassNone is the class of what is not an action.
	ClassNone Class = iota
	// ClassRead is looking at the catalog.
	ClassRead
	// ClassWrite is changing namespaces, tables and views.
	ClassWrite
	// ClassManage is changing the cluster, warehouses and keys.
	ClassManage
	// ClassAudit is looking at what was done.
	ClassAudit
)

// Class is the action's class; ClassNone where it is not known.
func (a Action) Class() Class {
	switch a {
	case ActionGetConfig, ActionListWarehouses, ActionShowWarehouse, ActionListNamespaces, ActionLoadNamespace,
		ActionListTables, ActionLoadTable,
		ActionReportMetrics, ActionVerifyTable, ActionListViews, ActionLoadView:
		return ClassRead
	case ActionCreateNamespace, ActionUpdateNamespace, ActionDropNamespace,
		ActionCreateTable, ActionCommitTable, ActionDropTable, ActionRegisterTable, ActionUnregisterTable,
		ActionRenameTable, ActionCreateView, ActionReplaceView, ActionDropView, ActionRegisterView,
		ActionRenameView:
		return ClassWrite
	case ActionListKeys, ActionManageKeys, ActionShowCluster, ActionManageCluster, ActionCreateWarehouse, ActionManageWarehouse, ActionRebuildTable, ActionListReports,
		ActionListTasks, ActionCancelTask, ActionListBackups, ActionCreateBackup, ActionVerifyBackup, ActionRestoreBackup,
		ActionShowPolicies, ActionManagePolicies, ActionShowSecrets, ActionManageSecrets:
		return ClassManage
	case ActionReadAudit:
		return ClassAudit
	}
	return ClassNone
}

package cluster

//go:generate protoc --proto_path=.. --go_out=.. --go_opt=paths=source_relative cluster/rpc.proto cluster/keyring.proto cluster/membership.proto cluster/service.proto cluster/verify.proto

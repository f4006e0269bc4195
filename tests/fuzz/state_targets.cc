// Files of the user and of our own, messages between our processes, and what a container's files
// make of them.
#include <stdlib.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/router.h"
#include "api/version.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/docker_config.h"
#include "daemon/options.h"
#include "engine/containers/journal_record.h"
#include "engine/model/network_config.h"
#include "engine/model/record.h"
#include "engine/model/user.h"
#include "http/message.h"
#include "image/store_index.h"
#include "linux/process_tree.h"
#include "net/host_resolvers.h"
#include "net/protocol.h"
#include "oci/default_seccomp.h"
#include "rootlesskit/id_ranges.h"
#include "runtime/seccomp_program.h"
#include "systemd/protocol.h"
#include "targets.h"

namespace berth::fuzz {
namespace {

void read_daemon_json(std::string_view bytes) {
    daemon::read_command_line({}, {"/run/user/1", "/home/a/.local/share", "/home/a/.config"},
                              [&](const std::string&) { return std::string(bytes); });
}

void read_docker_config(std::string_view bytes) {
    static const std::string kDirectory = [] {
        std::string pattern = std::filesystem::temp_directory_path() / "berth-fuzz-XXXXXX";
        if (!::mkdtemp(pattern.data())) throw_errno("making {}", pattern);
        ::setenv("DOCKER_CONFIG", pattern.c_str(), 1);
        std::atexit([] { std::filesystem::remove_all(::getenv("DOCKER_CONFIG")); });
        return pattern;
    }();
    replace_file(kDirectory + "/config.json", bytes, 0600, Durability::process);
    cli::DockerConfig config;
    each([&] { config.find("localhost:5000"); }, [&] { config.helper_of("localhost:5000"); },
         [&] { config.proxy_environment("unix:///run/docker.sock"); },
         [&] { config.store("localhost:5000", {.username = "u", .password = "p"}); },
         [&] { config.erase("localhost:5000"); });
}

void read_records(std::string_view bytes) {
    each([&] { image::parse_index_file(std::string(bytes)); }, [&] { net::decode_state(bytes); },
         [&] {
             const auto record = engine::model::record_from(parse_json(bytes));
             engine::model::record_from(engine::model::to_json(record));
         });
}

void read_network_messages(std::string_view bytes) {
    net::sequence_of(bytes);
    each([&] { net::decode_request(bytes); }, [&] { net::decode_reply(bytes); },
         [&] { net::process_config_from(parse_json(bytes)); });
}

void read_systemd_messages(std::string_view bytes) {
    const nlohmann::json value = parse_json(bytes);
    each([&] { systemd::scope_from_json(value); }, [&] { systemd::unit_job_from_json(value); },
         [&] { systemd::manager_facts_from_json(value); });
}

void read_network_config(std::string_view bytes) {
    const auto config = engine::model::network_config_from(parse_json(bytes));
    engine::model::validate(config);
}

void compile_profile(std::string_view bytes) {
    const oci::Seccomp policy = oci::parse_docker_seccomp(bytes, {"CAP_CHOWN"});
    constexpr std::size_t kQuick = 16;
    if (policy.rules.size() <= kQuick) runtime::compile_seccomp(policy);
}

/// The first line is the user, the second the group to add, the rest /etc/passwd and /etc/group.
void resolve_user(std::string_view bytes) {
    const std::size_t first = std::min(bytes.find('\n'), bytes.size());
    const std::string_view rest = bytes.substr(std::min(first + 1, bytes.size()));
    const std::size_t second = std::min(rest.find('\n'), rest.size());
    const std::string files(rest.substr(std::min(second + 1, rest.size())));
    each([&] {
        engine::model::resolve_user(std::string(bytes.substr(0, first)), {files, files},
                                    {std::string(rest.substr(0, second))});
    });
}

void read_host_files(std::string_view bytes) {
    each([&] { net::parse_resolvers(bytes); }, [&] { linux_os::parse_process_stat(bytes); },
         [&] { rootlesskit::parse_subordinate_ids(bytes, "joe", 1000); },
         [&] { rootlesskit::parse_getsubids(bytes); });
}

void read_journal(std::string_view bytes) {
    engine::JournalParser parser;
    parser.feed(bytes);
    while (const auto entry = parser.next()) engine::record_of(*entry);
}

/// What stands before a blank is the method.
void find_route(std::string_view bytes) {
    static const api::Router kRouter = [] {
        api::Router router;
        for (const char* pattern :
             {"/_ping", "/containers/{name}", "/containers/{name}/json", "/containers/json",
              "/images/{name...}/json", "/images/{name...}", "/networks/{name}/connect"})
            router.add("GET", pattern, nullptr);
        return router;
    }();
    const std::size_t blank = std::min(bytes.find(' '), bytes.size());
    const std::string path =
        http::decode_percent(bytes.substr(std::min(blank + 1, bytes.size())), http::Plus::literal);
    const api::VersionedPath versioned = api::split_version(path);
    const auto match = kRouter.find(bytes.substr(0, blank), versioned.path);
    if (match && match->name.size() > path.size())
        throw std::runtime_error("a name that is longer than the path");
    each([&] { api::check_version(versioned.version, {1, 24}); });
}

constexpr const char* kDaemonJson =
    R"({"hosts":["unix:///run/a.sock"],"debug":true,"log-opts":{"max-size":"1m"},"default-ulimits":{"nofile":{"Name":"nofile","Soft":1,"Hard":2}},)"
    R"("default-address-pools":[{"base":"10.1.0.0/16","size":24}],"default-shm-size":"64M","runtimes":{"crun":{"path":"/a","runtimeArgs":["b"]}},)"
    R"("features":{"a":true},"mtu":1500,"proxies":{"http-proxy":"http://a:1"},"registry-mirrors":["https://m.test"],"bip":"10.0.0.1/24","max-layer-size":1})";
constexpr const char* kDockerConfig =
    R"({"auths":{"localhost:5000":{"auth":"dTpw"},"https://index.docker.io/v1/":{"identitytoken":"t","username":"u"}},)"
    R"("credHelpers":{"a.test":"none"},"proxies":{"default":{"httpProxy":"http://p:1","noProxy":"b"}},"HttpHeaders":{"a":"b"}})";
constexpr const char* kContainerRecord =
    R"({"version":1,"id":"aaaaaaaaaaaa","name":"n","created":"2024-01-01T00:00:00Z","config":{"Image":"a","Cmd":["b"]},"host_config":{"NetworkMode":"none"},)"
    R"("mounts":[],"endpoints":{},"state":{"status":"exited","exit_code":1}})";
constexpr const char* kNetworkState =
    R"({"v":1,"networks":[{"id":"n","name":"x","bridge":"b","subnet":"10.0.0.0/24","gateway":"10.0.0.1"}],"attachments":[],"bindings":[]})";
constexpr const char* kAttach =
    R"({"v":1,"type":"attach","seq":2,"container":"c","network_id":"n","interface":"eth0","address":"10.0.0.2/24","gateway":"10.0.0.1","mac":"02:00:00:00:00:01",)"
    R"("default_route":true,"pid":5,"names":["a"],"dns":{"servers":["1.1.1.1"],"search":["x"],"options":["ndots:1"]}})";
constexpr const char* kPublish =
    R"({"v":1,"type":"publish","seq":1,"container":"c","bindings":[{"proto":"tcp","host_ip":"::1","host_port":80,"container_ip":"10.0.0.2","container_port":80}]})";
constexpr const char* kScope =
    R"({"name":"a.scope","description":"d","slice":"b.slice","pids":[1],"before":["c"],"memory_max":5,"unit":"u","job":"start","manager_stopping":false,)"
    R"("version":"252","state":"running","control_group":"/a","controllers":["cpu"]})";
constexpr const char* kNetwork =
    R"({"Name":"n","Driver":"bridge","EnableIPv6":true,"IPAM":{"Config":[{"Subnet":"10.9.0.0/16","IPRange":"10.9.1.0/24","Gateway":"10.9.0.1",)"
    R"("AuxiliaryAddresses":{"a":"10.9.0.2"}},{"Subnet":"fd00::/64"}]},"Options":{"com.docker.network.driver.mtu":"1400"},"Labels":{"a":"b"}})";
constexpr const char* kProfile =
    R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],)"
    R"("syscalls":[{"names":["read","clone"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"valueTwo":2,"op":"SCMP_CMP_MASKED_EQ"}],)"
    R"("includes":{"caps":["CAP_CHOWN"],"minKernel":"4.8"},"excludes":{"arches":["s390"]},"errnoRet":38}]})";

}  // namespace

std::vector<Target> state_targets() {
    return {
        {"daemon_json", read_daemon_json, {kDaemonJson}},
        {"docker_config", read_docker_config, {kDockerConfig}},
        {"records", read_records, {kContainerRecord, kNetworkState}},
        {"network_messages", read_network_messages, {kAttach, kPublish}},
        {"systemd_messages", read_systemd_messages, {kScope}},
        {"network_config", read_network_config, {kNetwork}},
        {"seccomp_profile", compile_profile, {kProfile}},
        {"user",
         resolve_user,
         {"joe:users\n7\njoe:x:1000:100:Joe:/home/joe:/bin/sh\nusers:x:100:joe,a\n",
          "1:2\naudio\nroot:x:0:0::/root:\naudio:x:29:\n",
          "18446744073709551616\n\na:x:-1:4294967296::"}},
        {"host_files",
         read_host_files,
         {"nameserver 1.1.1.1\nnameserver fe80::1%eth0\nsearch a b\noptions ndots:1",
          "12 (a) b) S 1 2 3 34816 5 6 7 8 9 10 11 12 13 14 20 0 1 0 100 4096 5",
          "joe:100000:65536\n1000:200000:1\n0: joe 100000 65536"}},
        {"journal",
         read_journal,
         {"MESSAGE=a\nPRIORITY=6\n__REALTIME_TIMESTAMP=1700000000000000\n\n",
          std::string("MESSAGE\n\3\0\0\0\0\0\0\0a\nb\nCONTAINER_PARTIAL_MESSAGE=true\n\n", 52)}},
        {"route",
         find_route,
         {"GET /v1.43/images/a%2Fb/c:d@sha256:e/json", "GET /containers/json",
          "POST /v1.9999999999999999999/containers/x/json"}}};
}

}  // namespace berth::fuzz

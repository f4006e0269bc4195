#include "engine/system.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "engine/system_facts.h"
#include "shim/log_options.h"

namespace berth::engine {

using nlohmann::json;

namespace {

utsname kernel() {
    utsname names{};
    uname(&names);
    return names;
}

std::int64_t memory_total() {
    struct sysinfo facts {};
    if (::sysinfo(&facts) != 0) return 0;
    return static_cast<std::int64_t>(facts.totalram) * facts.mem_unit;
}

/// A value of /etc/os-release without its quotes.
std::string os_release(const std::string& key) {
    const std::string text = "\n" + read_file_if_exists("/etc/os-release").value_or("");
    const std::size_t at = text.find("\n" + key + "=");
    if (at == std::string::npos) return "";
    std::string value = text.substr(at + key.size() + 2);
    value = value.substr(0, value.find('\n'));
    std::erase(value, '"');
    return value;
}

int open_descriptors() {
    // Since Linux 6.2 the directory's size is their number: thousands take long to list.
    struct stat status {};
    if (::stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
        return static_cast<int>(status.st_size);
    DIR* directory = opendir("/proc/self/fd");
    if (directory == nullptr) return 0;
    int count = -3;  // ".", ".." and the directory itself
    while (readdir(directory) != nullptr) ++count;
    closedir(directory);
    return count;
}

/// GOARCH's names in /version, the kernel's in /info.
std::string go_architecture(const std::string& machine) {
    if (machine == "x86_64") return "amd64";
    if (machine == "aarch64") return "arm64";
    return machine;
}

json driver_status(const Storage& storage) {
    json status = json::array();
    status.push_back(json::array({"Backing Filesystem", storage.driver.backing_filesystem}));
    status.push_back(json::array({"Supports d_type", "true"}));
    status.push_back(json::array({"userxattr", "true"}));
    status.push_back(json::array({"Chosen because", storage.driver.reason}));
    return status;
}

json registry_config(const Settings& settings) {
    json indexes = json::object();
    indexes["docker.io"] = {{"Name", "docker.io"},
                            {"Mirrors", settings.registry_mirrors},
                            {"Secure", true},
                            {"Official", true}};
    json ranges = json::array({"::1/128", "127.0.0.0/8"});
    for (const std::string& registry : settings.insecure_registries) {
        if (registry.find('/') != std::string::npos) {
            ranges.push_back(registry);
        } else {
            indexes[registry] = {{"Name", registry},
                                 {"Mirrors", json::array()},
                                 {"Secure", false},
                                 {"Official", false}};
        }
    }
    return {{"AllowNondistributableArtifactsCIDRs", nullptr},
            {"AllowNondistributableArtifactsHostnames", nullptr},
            {"InsecureRegistryCIDRs", std::move(ranges)},
            {"IndexConfigs", std::move(indexes)},
            {"Mirrors", settings.registry_mirrors}};
}

/// The configured proxies, else those of the environment, without their passwords.
void add_proxies(const Settings& settings, json& info) {
    const auto shown = [](const std::string& configured, const char* lower, const char* upper) {
        std::string url = configured;
        for (const char* name : {lower, upper})
            if (const char* value = secure_getenv(name); url.empty() && value != nullptr)
                url = value;
        const std::size_t at = url.rfind('@');
        const std::size_t begin = url.find("://");
        if (at != std::string::npos && begin != std::string::npos && begin < at)
            url.replace(begin + 3, at - begin - 3, "xxxxx:xxxxx");
        return url;
    };
    info["HttpProxy"] = shown(settings.http_proxy, "http_proxy", "HTTP_PROXY");
    info["HttpsProxy"] = shown(settings.https_proxy, "https_proxy", "HTTPS_PROXY");
    info["NoProxy"] = shown(settings.no_proxy, "no_proxy", "NO_PROXY");
}

json address_pools(const Settings& settings) {
    json result = json::array();
    for (const AddressRange& range : settings.address_pools)
        result.push_back({{"Base", range.base}, {"Size", range.size}});
    if (result.empty())
        result = {{{"Base", "172.17.0.0/12"}, {"Size", 16}},
                  {{"Base", "192.168.0.0/16"}, {"Size", 20}}};
    return result;
}

json runtimes(const Settings& settings) {
    json result = {{"berth", {{"path", "berth-runtime"}}}, {"runc", {{"path", "berth-runtime"}}}};
    for (const auto& [name, program] : settings.runtimes) {
        result[name] = {{"path", program.path}};
        if (!program.arguments.empty()) result[name]["runtimeArgs"] = program.arguments;
    }
    return result;
}

void add_abilities(const model::Abilities& abilities, const std::string& driver, json& info) {
    info["MemoryLimit"] = abilities.memory_limit;
    info["SwapLimit"] = abilities.swap_limit;
    info["CpuCfsPeriod"] = abilities.cpu_limit;
    info["CpuCfsQuota"] = abilities.cpu_limit;
    info["CPUShares"] = abilities.cpu_limit;
    info["CPUSet"] = abilities.cpuset;
    info["PidsLimit"] = abilities.pids_limit;
    info["OomKillDisable"] = false;
    info["CgroupDriver"] = driver;
    info["CgroupVersion"] = std::to_string(abilities.cgroup_version);
    info["NCPU"] = abilities.cpus;
}

void add_machine(json& info) {
    const utsname names = kernel();
    info["Name"] = names.nodename;
    info["KernelVersion"] = names.release;
    info["Architecture"] = names.machine;
    info["OSType"] = "linux";
    info["OperatingSystem"] = os_release("PRETTY_NAME");
    info["OSVersion"] = os_release("VERSION_ID");
    info["MemTotal"] = memory_total();
    info["NFd"] = open_descriptors();
    info["NGoroutines"] = 1;
    info["SystemTime"] = rfc3339(Timestamp::now());
    info["IPv4Forwarding"] = true;
}

void add_fixed(json& info) {
    info["Plugins"] = {{"Volume", json::array({"local"})},
                       {"Network", json::array({"bridge", "host", "null"})},
                       {"Authorization", nullptr},
                       {"Log", shim::log_drivers()}};
    info["Swarm"] = {{"NodeID", ""},
                     {"NodeAddr", ""},
                     {"LocalNodeState", "inactive"},
                     {"ControlAvailable", false},
                     {"Error", ""},
                     {"RemoteManagers", nullptr}};
    info["SecurityOptions"] =
        json::array({"name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"});
    for (const char* commit : {"ContainerdCommit", "RuncCommit", "InitCommit"})
        info[commit] = {{"ID", BERTH_VERSION}};
    info["CDISpecDirs"] = json::array();
    info["DiscoveredDevices"] = json::array();
    info["FirewallBackend"] = {{"Driver", "nftables"}};
    info["ExperimentalBuild"] = false;
    info["ProductLicense"] = "Apache License, Version 2.0";
    info["Isolation"] = "";
    info["GenericResources"] = nullptr;
}

}  // namespace

std::string host_name() { return kernel().nodename; }

System::System(SystemDependencies dependencies)
    : dependencies_(std::make_unique<SystemDependencies>(std::move(dependencies))) {}
System::~System() = default;

std::vector<std::string> system_warnings(const SystemDependencies& dependencies) {
    std::vector<std::string> lines;
    const model::Abilities& able = dependencies.abilities;
    const auto add = [&](bool works, const char* what) {
        if (!works) lines.push_back(fmt::format("WARNING: No {} support", what));
    };
    add(able.memory_limit, "memory limit");
    add(able.swap_limit, "swap limit");
    add(able.cpu_limit, "cpu cfs quota");
    add(able.cpu_limit, "cpu cfs period");
    add(able.cpu_limit, "cpu shares");
    add(able.cpuset, "cpuset");
    add(able.pids_limit, "pids limit");
    add(able.io_weight, "io.weight");
    for (const char* key : {"io.max (rbps)", "io.max (wbps)", "io.max (riops)", "io.max (wiops)"})
        add(able.io, key);
    if (!able.cgroup_problem.empty()) lines.push_back("WARNING: " + able.cgroup_problem);
    if (dependencies.context.storage.driver.kind == storage::DriverKind::copy)
        lines.push_back("WARNING: every container copies its image: " +
                        dependencies.context.storage.driver.reason);
    for (const std::string& problem : dependencies.network_warnings())
        lines.push_back("WARNING: " + problem);
    return lines;
}

json System::info() const {
    const SystemDependencies& deps = *dependencies_;
    const Settings& settings = deps.context.settings;
    const ContainerCounts counts = deps.containers();
    json info = json::object();
    add_machine(info);
    add_fixed(info);
    add_abilities(deps.abilities, settings.cgroup.driver, info);
    info["ID"] = deps.id;
    info["ServerVersion"] = kDockerVersion;
    info["Containers"] = counts.all;
    info["ContainersRunning"] = counts.running;
    info["ContainersPaused"] = counts.paused;
    info["ContainersStopped"] = counts.all - counts.running - counts.paused;
    info["Images"] = deps.images();
    info["Driver"] = storage::to_string(deps.context.storage.driver.kind);
    info["DriverStatus"] = driver_status(deps.context.storage);
    info["DockerRootDir"] = settings.data_root;
    info["LoggingDriver"] = settings.log_driver;
    info["DefaultRuntime"] = settings.default_runtime;
    info["Runtimes"] = runtimes(settings);
    info["InitBinary"] = settings.init_program.empty() ? "berth-init" : settings.init_program;
    info["DefaultAddressPools"] = address_pools(settings);
    add_proxies(settings, info);
    info["RegistryConfig"] = registry_config(settings);
    info["IndexServerAddress"] = "https://index.docker.io/v1/";
    info["LiveRestoreEnabled"] = settings.live_restore == LiveRestore::yes;
    info["Debug"] = settings.debug;
    info["NEventsListener"] = deps.context.events.listeners();
    info["Labels"] = settings.labels;
    info["Warnings"] = system_warnings(deps);
    return info;
}

json System::version() const {
    const utsname names = kernel();
    const std::string architecture = go_architecture(names.machine);
    const std::string built = rfc3339(dependencies_->started);
    const std::string& oldest = dependencies_->context.settings.min_api_version;
    const json details = {{"ApiVersion", kApiVersion},
                          {"MinAPIVersion", oldest},
                          {"Arch", architecture},
                          {"Os", "linux"},
                          {"KernelVersion", names.release},
                          {"Experimental", "false"},
                          {"GitCommit", BERTH_VERSION},
                          {"GoVersion", "none"},
                          {"BuildTime", built}};
    json components = json::array();
    components.push_back({{"Name", "Engine"}, {"Version", kDockerVersion}, {"Details", details}});
    components.push_back({{"Name", "berth"},
                          {"Version", BERTH_VERSION},
                          {"Details", {{"GitCommit", BERTH_VERSION}}}});
    return {{"Platform", {{"Name", std::string("berth ") + BERTH_VERSION}}},
            {"Components", std::move(components)},
            {"Version", kDockerVersion},
            {"ApiVersion", kApiVersion},
            {"MinAPIVersion", oldest},
            {"GitCommit", BERTH_VERSION},
            {"GoVersion", "none"},
            {"Os", "linux"},
            {"Arch", architecture},
            {"KernelVersion", names.release},
            {"BuildTime", built}};
}

std::string System::status() const {
    const auto counted = [](std::size_t count, const char* thing) {
        return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
    };
    const SystemDependencies& deps = *dependencies_;
    const ContainerCounts counts = deps.containers();
    return fmt::format("Running: {}, {}",
                       counted(static_cast<std::size_t>(counts.running), "container"),
                       counted(deps.images(), "image"));
}

}  // namespace berth::engine

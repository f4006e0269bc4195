#include "daemon/delegation.h"

#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "linux/cgroup.h"
#include "systemd/cgroup_paths.h"
#include "systemd/delegation_advice.h"

namespace berth::daemon {

using linux_os::Cgroup;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kSystemdPatience{8000};
constexpr std::string_view kSupport = "/support";

SteadyTime steady_now() { return std::chrono::steady_clock::now(); }

std::int64_t ms_since(SteadyTime start) {
    return std::chrono::duration_cast<milliseconds>(steady_now() - start).count();
}

std::string cgroup_path_of(const std::string& process) {
    return systemd::unified_path(read_file_if_exists("/proc/" + process + "/cgroup").value_or(""));
}

// Processes may be moved within a cgroup whose cgroup.procs is the user's: the kernel asks for the
// common ancestor of both places.
bool may_move_within(const std::string& directory) {
    return ::access((directory + "/cgroup.procs").c_str(), W_OK) == 0;
}

CgroupPlace look_around() {
    CgroupPlace place;
    place.hierarchy = Cgroup::hierarchy().value_or("");
    place.own = cgroup_path_of("self");
    const std::string manager = systemd::manager_of(place.own);
    place.manager_writable = !manager.empty() && may_move_within(place.hierarchy + manager);
    place.uid = ::getuid();
    place.pid = ::getpid();
    return place;
}

std::vector<std::string> words_in(const std::string& path) {
    return copied_words_of(read_file_if_exists(path).value_or(""));
}

bool has(const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
}

systemd::Scope scope_of(const std::string& name, const std::string& description,
                        const std::string& slice, const std::vector<pid_t>& pids) {
    systemd::Scope scope;
    scope.name = name;
    scope.description = description;
    scope.slice = slice;
    scope.pids = pids;
    // The manager's default for units is a part of what the machine has.
    scope.tasks_max = systemd::kUnlimited;
    return scope;
}

// One that has just ended needs no place.
void move_into(const Cgroup& cgroup, pid_t process) {
    try {
        cgroup.write("cgroup.procs", std::to_string(process));
    } catch (const Error& error) {
        if (error.errno_value() != ESRCH) throw;
    }
}

}  // namespace

Delegation::Delegation(const Config& config)
    : place_(look_around()), plan_(plan_delegation(config, place_)) {}

void Delegation::fail(const std::string& problem) {
    result_ = {};
    result_.problem = problem;
}

void Delegation::fail_without_manager(const Error& error) {
    // Only a hybrid has it elsewhere.
    const bool version_2 = place_.hierarchy == "/sys/fs/cgroup";
    fail(version_2 ? systemd::advice_for_no_manager(error.message(), place_.uid)
                   : systemd::advice_for_version_1());
}

void Delegation::begin(const std::vector<pid_t>& members) {
    members_ = members;
    asked_ = steady_now();
    result_ = {};
    if (plan_.driver != CgroupDriver::systemd) return;
    if (place_.hierarchy.empty()) return fail(systemd::advice_for_version_1());
    try {
        if (!plan_.engine_scope.empty()) move_self();
        if (adopt(members.front())) return;
        systemd::Scope scope = scope_of(plan_.scope, "containers of berth", plan_.slice, members);
        if (!plan_.stopped_first.empty()) scope.before = {plan_.stopped_first};
        pending_.emplace(systemd::begin_scope(scope));
    } catch (const Error& error) {
        fail_without_manager(error);
    }
}

// A login's session is outside of the user manager's subtree, and the kernel lets nobody move
// processes from there into it but systemd.
void Delegation::move_self() {
    systemd::start_scope(
        scope_of(plan_.engine_scope, "berth container engine", "app.slice", {place_.pid}),
        kSystemdPatience);
    plan_.engine_scope.clear();
}

// Empty outside of the user manager's subtree.
std::string Delegation::expected_directory() const {
    const std::string manager = systemd::manager_of(cgroup_path_of("self"));
    if (manager.empty()) return "";
    return place_.hierarchy + manager + systemd::slice_path(plan_.slice) + "/" + plan_.scope;
}

// Where the holder of a former supervisor is, or where containers of a lost holder are.
bool Delegation::adopt(pid_t holder) {
    const std::string path = cgroup_path_of(std::to_string(holder));
    if (path.ends_with("/" + plan_.scope + std::string(kSupport))) {
        result_.directory = place_.hierarchy + path.substr(0, path.size() - kSupport.size());
    } else if (const std::string expected = expected_directory(); !expected.empty()) {
        const std::string file = expected + std::string(kSupport) + "/cgroup.events";
        const auto events = read_file_if_exists(file).value_or("");
        if (events.find("populated 1") != std::string::npos) result_.directory = expected;
    }
    return !result_.directory.empty();
}

void Delegation::await_scope() {
    try {
        const std::string path = systemd::finish_scope(std::move(*pending_), kSystemdPatience);
        log::info("systemd made the containers' scope within {} ms: {}", ms_since(asked_), path);
        result_.directory = place_.hierarchy + path;
    } catch (const Error& error) {
        // Processes of containers are left in it, without holder and shims.
        if (error.kind() != ErrorKind::conflict) throw;
        result_.directory = expected_directory();
    }
}

void Delegation::finish() {
    try {
        if (pending_) await_scope();
        if (plan_.driver == CgroupDriver::directory) use_directory();
        if (!result_.directory.empty() && result_.support.empty()) lay_out(result_.directory);
    } catch (const Error& error) {
        plan_.driver == CgroupDriver::systemd ? fail_without_manager(error) : fail(error.message());
    }
    pending_.reset();
    if (plan_.driver == CgroupDriver::none) {
        result_.problem =
            "containers have no cgroups and no limits, as native.cgroupdriver=none of exec-opts "
            "asks for";
    } else if (!result_.problem.empty()) {
        log::warn("{}", result_.problem);
    } else {
        log::debug("controllers of the containers' cgroups: {}",
                   fmt::join(result_.controllers, " "));
    }
}

void Delegation::lay_out(const std::string& directory) {
    const std::string support = directory + std::string(kSupport);
    if (::mkdir(support.c_str(), 0755) < 0 && errno != EEXIST)
        throw_errno("making the cgroup {}", support);
    const auto cgroup = Cgroup::open(support);
    if (!cgroup) throw_errno("opening the cgroup {}", support);
    for (const pid_t process : members_) move_into(*cgroup, process);
    // A cgroup that passes controllers on may have no processes of its own.
    for (const std::string& process : words_in(directory + "/cgroup.procs"))
        if (process != "0") move_into(*cgroup, static_cast<pid_t>(std::stol(process)));
    result_.directory = directory;
    result_.support = support;
    result_.driver = plan_.driver == CgroupDriver::systemd ? "systemd" : "cgroupfs";
    enable_controllers();
}

void Delegation::enable_controllers() {
    const auto cgroup = Cgroup::open(result_.directory);
    if (!cgroup) throw_errno("opening the cgroup {}", result_.directory);
    std::string refused;
    for (const std::string& name : words_in(result_.directory + "/cgroup.controllers")) {
        try {
            cgroup->write("cgroup.subtree_control", "+" + name);
        } catch (const Error& error) {
            if (has(systemd::wanted_controllers(), name)) refused = error.message();
        }
    }
    const auto enabled = words_in(result_.directory + "/cgroup.subtree_control");
    result_.controllers = {enabled.begin(), enabled.end()};
    const auto known = words_in(place_.hierarchy + "/cgroup.controllers");
    std::vector<std::string> absent, undelegated;
    for (const std::string& name : systemd::wanted_controllers())
        if (!has(enabled, name)) (has(known, name) ? undelegated : absent).push_back(name);
    if (!undelegated.empty() && !refused.empty())
        result_.problem = "limits are not all applied: " + refused;
    else if (!undelegated.empty() && plan_.driver == CgroupDriver::directory)
        result_.problem = systemd::advice_for_directory(undelegated, result_.directory);
    else if (!undelegated.empty())
        result_.problem = systemd::advice_for_undelegated(undelegated, place_.uid);
    else if (absent.size() == systemd::wanted_controllers().size())
        result_.problem = systemd::advice_for_version_1();
    else if (!absent.empty())
        result_.problem = systemd::advice_for_absent(absent);
}

void Delegation::use_directory() {
    const std::string& directory = plan_.directory;
    if (place_.hierarchy.empty()) return fail(systemd::advice_for_version_1());
    if (!may_move_within(directory) || ::access(directory.c_str(), W_OK) < 0)
        return fail(
            fmt::format("containers have no cgroups and no limits, since the cgroup {} is "
                        "not this user's: `sudo mkdir -p {} && sudo chown -R {} {}`",
                        directory, directory, place_.uid, directory));
    try {
        lay_out(directory);
    } catch (const Error& error) {
        if (error.errno_value() != EACCES) throw;
        fail(
            fmt::format("containers have no cgroups and no limits, since berthd was started "
                        "outside of the cgroup {}: in the shell that starts it, `sudo sh -c "
                        "\"echo $$ > {}/cgroup.procs\"`",
                        directory, directory));
    }
}

void Delegation::take_in(pid_t process) {
    if (result_.support.empty()) return;
    try {
        if (const auto cgroup = Cgroup::open(result_.support)) move_into(*cgroup, process);
    } catch (const Error& error) {
        log::warn("{}", error.message());
    }
}

void Delegation::remove() const {
    if (plan_.driver != CgroupDriver::directory || result_.support.empty()) return;
    try {
        const auto cgroup = Cgroup::open(result_.directory);
        // This process may be in there, and a cgroup that passes controllers on takes none.
        for (const std::string& name : result_.controllers)
            if (cgroup) cgroup->write("cgroup.subtree_control", "-" + name);
        if (cgroup) move_into(*cgroup, place_.pid);
    } catch (const Error& error) {
        log::debug("{}", error.message());
    }
    ::rmdir(result_.support.c_str());
}

}  // namespace berth::daemon

#include "cli/doctor_service.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "linux/filesystem.h"
#include "rootlesskit/distribution.h"
#include "rootlesskit/host_files.h"
#include "rootlesskit/runtime_directory.h"

namespace berth::cli {
namespace {

using rootlesskit::Finding;
using rootlesskit::fine;
using rootlesskit::State;
using rootlesskit::trouble;

struct Controller final {
    std::string_view name;
    std::string_view flags;  // that need it
};
constexpr std::array<Controller, 5> kControllers{{{"cpu", "--cpus, --cpu-shares"},
                                                  {"cpuset", "--cpuset-cpus"},
                                                  {"io", "--blkio-weight, --device-read-bps"},
                                                  {"memory", "--memory"},
                                                  {"pids", "--pids-limit"}}};

CgroupHierarchy find_hierarchy() {
    try {
        if (linux_os::examine_filesystem("/sys/fs/cgroup").name == "cgroup2")
            return CgroupHierarchy::unified;
        if (exists("/sys/fs/cgroup/unified")) return CgroupHierarchy::hybrid;
        return exists("/sys/fs/cgroup/memory") || exists("/sys/fs/cgroup/systemd")
                   ? CgroupHierarchy::legacy
                   : CgroupHierarchy::none;
    } catch (const Error&) {
        return CgroupHierarchy::none;
    }
}

Finding check_cgroup(const ServiceFacts& facts) {
    const std::string name = "cgroup";
    if (facts.hierarchy == CgroupHierarchy::unified) return fine(name, "version 2");
    const std::string cause =
        facts.hierarchy == CgroupHierarchy::none
            ? "no cgroups are mounted: no limit can be applied"
            : fmt::format(
                  "cgroup version 1 ({}): no limit can be applied to containers of a plain "
                  "user",
                  facts.hierarchy == CgroupHierarchy::hybrid ? "hybrid" : "legacy");
    if (!facts.booted || facts.in_container) return trouble(State::degraded, name, cause);
    return trouble(State::degraded, name, cause,
                   {"echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX "
                    "systemd.unified_cgroup_hierarchy=1\"' | sudo tee -a /etc/default/grub",
                    "sudo grub-mkconfig -o /boot/grub/grub.cfg", "sudo reboot"});
}

Finding check_bus(const ServiceFacts& facts) {
    const std::string name = "user-bus";
    if (facts.manager) return fine(name, "systemd " + facts.manager->version + " answers");
    if (!facts.booted)
        return trouble(State::degraded, name,
                       "this system does not run systemd: no limit can be applied, and the engine "
                       "is a background process without a service");
    if (!facts.user_manager)
        return trouble(State::degraded, name,
                       "there is no systemd of this user (no login session and no lingering): no "
                       "limit can be applied",
                       {"sudo loginctl enable-linger " + facts.user,
                        fmt::format("export XDG_RUNTIME_DIR=/run/user/{}", facts.uid)});
    if (!facts.bus_socket)
        return trouble(
            State::degraded, name, "there is no D-Bus of this user: no limit can be applied",
            {rootlesskit::install_command(facts.os_release, rootlesskit::Package::user_bus),
             fmt::format("sudo systemctl restart user@{}", facts.uid)});
    return fixable(State::degraded, name,
                   "the user's D-Bus does not answer: " + facts.manager_problem,
                   {"systemctl --user start dbus.socket"});
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string> delegate_all(uid_t uid) {
    return {"sudo mkdir -p /etc/systemd/system/user@.service.d",
            "printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo tee "
            "/etc/systemd/system/user@.service.d/delegate.conf",
            "sudo systemctl daemon-reload", fmt::format("sudo systemctl restart user@{}", uid)};
}

Finding check_delegation(const ServiceFacts& facts) {
    const std::string name = "delegation";
    if (!facts.manager)
        return trouble(State::degraded, name, "not known without the user's D-Bus (see user-bus)");
    if (facts.hierarchy != CgroupHierarchy::unified)
        return trouble(State::degraded, name, "needs cgroup version 2 (see cgroup)");
    std::vector<std::string> absent, missing;
    for (const Controller& controller : kControllers) {
        const std::string text = fmt::format("{} ({})", controller.name, controller.flags);
        if (!contains(facts.kernel_controllers, controller.name))
            absent.push_back(text);
        else if (!contains(facts.manager->controllers, controller.name))
            missing.push_back(text);
    }
    if (!missing.empty())
        return trouble(
            State::degraded, name,
            fmt::format("controllers that systemd does not delegate to the user, and the flags "
                        "without effect: {} (the last command ends the user's session)",
                        fmt::join(missing, "; ")),
            delegate_all(facts.uid));
    if (!absent.empty())
        return trouble(State::degraded, name,
                       fmt::format("controllers that the kernel was built or booted without (look "
                                   "for cgroup_disable= in /proc/cmdline), and the flags without "
                                   "effect: {}",
                                   fmt::join(absent, "; ")));
    return fine(name, fmt::format("{}", fmt::join(facts.manager->controllers, ", ")));
}

Finding check_lingering(const ServiceFacts& facts) {
    const std::string name = "lingering";
    if (facts.linger == systemd::Linger::on) return fine(name, "on");
    if (!facts.booted) return fine(name, "without systemd nothing ends at logout");
    Finding finding = trouble(State::degraded, name,
                              facts.linger ? "off: containers end at the last logout, and none "
                                             "starts at boot"
                                           : "not known: " + facts.linger_problem,
                              {"sudo loginctl enable-linger " + facts.user});
    // logind lets most users do it for themselves.
    finding.fix = {"loginctl enable-linger"};
    return finding;
}

// Only for the time of the questions: whether the caller has the variable is a question itself.
class RuntimeVariable final {
  public:
    explicit RuntimeVariable(const std::string& value)
        : absent_(::secure_getenv("XDG_RUNTIME_DIR") == nullptr) {
        if (absent_) ::setenv("XDG_RUNTIME_DIR", value.c_str(), 1);
    }
    RuntimeVariable(const RuntimeVariable&) = delete;
    RuntimeVariable& operator=(const RuntimeVariable&) = delete;
    ~RuntimeVariable() {
        if (absent_) ::unsetenv("XDG_RUNTIME_DIR");
    }

  private:
    bool absent_;
};

void ask_systemd(ServiceFacts& facts, const std::string& runtime) {
    const RuntimeVariable variable(runtime);
    try {
        if (facts.bus_socket) facts.manager = systemd::manager_facts();
    } catch (const Error& error) {
        facts.manager_problem = error.message();
    }
    try {
        facts.linger = systemd::linger();
    } catch (const Error& error) {
        facts.linger_problem = error.message();
    }
}

}  // namespace

ServiceFacts gather_service_facts(const std::string& user, const std::string& os_release) {
    ServiceFacts facts;
    facts.uid = ::getuid();
    facts.user = user.empty() ? std::to_string(facts.uid) : rootlesskit::shell_word(user);
    facts.os_release = os_release;
    facts.booted = exists("/run/systemd/system");
    facts.in_container =
        exists("/.dockerenv") || exists("/run/.containerenv") || exists("/run/systemd/container");
    facts.hierarchy = find_hierarchy();
    facts.kernel_controllers =
        copied_words_of(rootlesskit::HostFiles().text("/sys/fs/cgroup/cgroup.controllers"));
    const char* variable = ::secure_getenv("XDG_RUNTIME_DIR");
    const std::string runtime =
        variable && *variable ? variable : rootlesskit::default_runtime_path(facts.uid);
    facts.user_manager = exists(runtime + "/systemd/private");
    const char* address = ::secure_getenv("DBUS_SESSION_BUS_ADDRESS");
    facts.bus_socket = (address && *address) || exists(runtime + "/bus");
    if (facts.booted) ask_systemd(facts, runtime);
    return facts;
}

std::vector<Finding> examine(const ServiceFacts& facts) {
    return {check_cgroup(facts), check_bus(facts), check_delegation(facts), check_lingering(facts)};
}

}  // namespace berth::cli

#include "systemd/bus.h"

#include <sdbus-c++/sdbus-c++.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "linux/cgroup.h"

namespace berth::systemd::bus {
namespace {

constexpr std::chrono::seconds kJobPatience{20};
constexpr std::chrono::seconds kRemovalPatience{3};
constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kUnit = "org.freedesktop.systemd1.Unit";
constexpr const char* kLogin = "org.freedesktop.login1";
constexpr const char* kLoginManager = "org.freedesktop.login1.Manager";
constexpr const char* kLoginPath = "/org/freedesktop/login1";

using Property = sdbus::Struct<std::string, sdbus::Variant>;
using Auxiliary = sdbus::Struct<std::string, std::vector<Property>>;
using Connection = std::unique_ptr<sdbus::IConnection>;
using Proxy = std::unique_ptr<sdbus::IProxy>;

Proxy object_of(const Connection& connection, const std::string& service, const std::string& path) {
#if BERTH_SDBUS_MAJOR >= 2
    return sdbus::createProxy(*connection, sdbus::ServiceName{service}, sdbus::ObjectPath{path});
#else
    return sdbus::createProxy(*connection, service, path);
#endif
}

// Signals are delivered from here on; version 2 needs no such call.
void listen_for_signals([[maybe_unused]] sdbus::IProxy& proxy) {
#if BERTH_SDBUS_MAJOR < 2
    proxy.finishRegistration();
#endif
}

ErrorKind kind_of(const std::string& name) {
    static const std::map<std::string, ErrorKind> kinds{
        {"org.freedesktop.systemd1.UnitExists", ErrorKind::conflict},
        {"org.freedesktop.systemd1.NoSuchUnit", ErrorKind::not_found},
        {"org.freedesktop.systemd1.NoUnitForPID", ErrorKind::not_found},
        {"org.freedesktop.login1.NoSuchUser", ErrorKind::not_found},
        {"org.freedesktop.DBus.Error.AccessDenied", ErrorKind::denied},
        {"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", ErrorKind::denied},
        {"org.freedesktop.DBus.Error.InvalidArgs", ErrorKind::invalid},
        {"org.freedesktop.DBus.Error.PropertyReadOnly", ErrorKind::invalid}};
    const auto found = kinds.find(name);
    return found == kinds.end() ? ErrorKind::unavailable : found->second;
}

// The library's errors become ours; `what` says what was asked.
template <typename Work>
auto translated(const std::string& what, Work work) {
    try {
        return work();
    } catch (const sdbus::Error& error) {
        throw Error(kind_of(error.getName()), "{}: {}", what, error.getMessage());
    }
}

Connection user_bus() {
    return translated("reaching the D-Bus user bus",
                      [] { return sdbus::createSessionBusConnection(); });
}

Connection system_bus() {
    return translated("reaching the D-Bus system bus",
                      [] { return sdbus::createSystemBusConnection(); });
}

// What the manager announced of jobs (their results) and units ("removed"); filled by the
// connection's own thread.
class Announcements final {
  public:
    void add(const std::string& subject, const std::string& result) {
        const std::lock_guard lock(mutex_);
        results_[subject] = result;
        changed_.notify_all();
    }
    std::optional<std::string> wait(const std::string& subject, std::chrono::seconds patience) {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, patience, [&] { return results_.contains(subject); }))
            return std::nullopt;
        return results_.at(subject);
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, std::string> results_;
};

// The user manager, with the jobs that it ends. The match is there before the first call, so that
// no result is missed.
class UserManager final {
  public:
    UserManager()
        : connection_(user_bus()), manager_(object_of(connection_, kSystemd, kManagerPath)) {
        manager_->uponSignal("JobRemoved")
            .onInterface(kManager)
            .call([this](const std::uint32_t&, const sdbus::ObjectPath& job, const std::string&,
                         const std::string& result) { announced_.add(job, result); });
        manager_->uponSignal("UnitRemoved")
            .onInterface(kManager)
            .call([this](const std::string& name, const sdbus::ObjectPath&) {
                announced_.add(name, "removed");
            });
        listen_for_signals(*manager_);
        connection_->enterEventLoopAsync();
        translated("asking systemd for its jobs",
                   [&] { manager_->callMethod("Subscribe").onInterface(kManager); });
    }
    ~UserManager() { connection_->leaveEventLoop(); }
    UserManager(const UserManager&) = delete;
    UserManager& operator=(const UserManager&) = delete;

    void start(const Scope& scope, const std::vector<Property>& properties) {
        sdbus::ObjectPath job;
        manager_->callMethod("StartTransientUnit")
            .onInterface(kManager)
            .withArguments(scope.name, "fail", properties, std::vector<Auxiliary>{})
            .storeResultsTo(job);
        await(job, scope.name);
    }
    void stop(const std::string& name) {
        sdbus::ObjectPath job;
        manager_->callMethod("StopUnit")
            .onInterface(kManager)
            .withArguments(name, "replace")
            .storeResultsTo(job);
        await(job, name);
    }
    bool await_removal(const std::string& name) {
        return announced_.wait(name, kRemovalPatience).has_value();
    }
    std::string control_group(const std::string& scope) {
        sdbus::ObjectPath path;
        manager_->callMethod("GetUnit").onInterface(kManager).withArguments(scope).storeResultsTo(
            path);
        return object_of(connection_, kSystemd, path)
            ->getProperty("ControlGroup")
            .onInterface("org.freedesktop.systemd1.Scope")
            .get<std::string>();
    }

  private:
    void await(const std::string& job, const std::string& name) {
        const auto result = announced_.wait(job, kJobPatience);
        if (!result)
            throw Error(ErrorKind::unavailable, "systemd did not end its job for {}", name);
        if (*result != "done")
            throw Error(ErrorKind::unavailable, "systemd's job for {} ended as \"{}\"", name,
                        *result);
    }

    Announcements announced_;
    Connection connection_;
    Proxy manager_;
};

enum class OomPolicy { ask, leave };  // the property of a scope came with systemd 253

template <typename Value>
Property property(const char* name, Value value) {
    return Property{std::string(name), sdbus::Variant{value}};
}

std::vector<Property> properties_of(const Scope& scope, OomPolicy policy) {
    std::vector<std::uint32_t> pids(scope.pids.begin(), scope.pids.end());
    std::vector<Property> properties{property("Description", scope.description),
                                     property("Slice", scope.slice), property("PIDs", pids),
                                     property("Delegate", true),
                                     property("CollectMode", std::string("inactive-or-failed"))};
    if (policy == OomPolicy::ask)
        properties.push_back(property("OOMPolicy", std::string("continue")));
    if (!scope.before.empty()) properties.push_back(property("Before", scope.before));
    const auto limit = [&](const char* name, const std::optional<std::uint64_t>& value) {
        if (value) properties.push_back(property(name, *value));
    };
    limit("MemoryMax", scope.memory_max);
    limit("TasksMax", scope.tasks_max);
    limit("CPUQuotaPerSecUSec", scope.cpu_quota_per_second_us);
    return properties;
}

void start_with_properties(UserManager& manager, const Scope& scope) {
    try {
        manager.start(scope, properties_of(scope, OomPolicy::ask));
    } catch (const sdbus::Error& error) {
        if (error.getMessage().find("OOMPolicy") == std::string::npos) throw;
        manager.start(scope, properties_of(scope, OomPolicy::leave));
    }
}

bool is_populated(const std::string& control_group) {
    const auto hierarchy = linux_os::Cgroup::hierarchy();
    if (!hierarchy || control_group.empty()) return false;
    return read_file_if_exists(*hierarchy + control_group + "/cgroup.events")
               .value_or("")
               .find("populated 1") != std::string::npos;
}

// The scope of an engine that has just ended: its last process is gone, and systemd forgets it
// soon. One with processes is in use.
bool goes_away(UserManager& manager, const std::string& scope) {
    try {
        if (is_populated(manager.control_group(scope))) return false;
    } catch (const sdbus::Error&) {
        return true;  // gone in between
    }
    return manager.await_removal(scope);
}

std::string unit_path_of(const Proxy& manager, pid_t pid) {
    sdbus::ObjectPath path;
    manager->callMethod("GetUnitByPID")
        .onInterface(kManager)
        .withArguments(static_cast<std::uint32_t>(pid))
        .storeResultsTo(path);
    return path;
}

// A job that ended between the two questions is no job.
Job job_of(const Connection& connection, const Proxy& unit) {
    using JobReference = sdbus::Struct<std::uint32_t, sdbus::ObjectPath>;
    const auto job = unit->getProperty("Job").onInterface(kUnit).get<JobReference>();
    if (std::get<0>(job) == 0) return Job::none;
    try {
        return job_from_type(object_of(connection, kSystemd, std::get<1>(job))
                                 ->getProperty("JobType")
                                 .onInterface("org.freedesktop.systemd1.Job")
                                 .get<std::string>());
    } catch (const sdbus::Error&) {
        return Job::none;
    }
}

std::string manager_property(const Proxy& manager, const char* name) {
    return manager->getProperty(name).onInterface(kManager).get<std::string>();
}

}  // namespace

std::string start_scope(const Scope& scope) {
    const std::string what = "making the scope " + scope.name;
    UserManager manager;
    return translated(what, [&] {
        try {
            start_with_properties(manager, scope);
        } catch (const sdbus::Error& error) {
            if (kind_of(error.getName()) != ErrorKind::conflict || !goes_away(manager, scope.name))
                throw;
            start_with_properties(manager, scope);
        }
        return manager.control_group(scope.name);
    });
}

void stop_unit(const std::string& name) {
    try {
        UserManager manager;
        translated("stopping " + name, [&] { manager.stop(name); });
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;
    }
}

UnitJob unit_job(pid_t pid) {
    const Connection connection = user_bus();
    return translated("asking systemd for its job", [&] {
        const Proxy manager = object_of(connection, kSystemd, kManagerPath);
        UnitJob answer;
        answer.manager_stopping = manager_property(manager, "SystemState") == "stopping";
        try {
            const Proxy unit = object_of(connection, kSystemd, unit_path_of(manager, pid));
            answer.unit = unit->getProperty("Id").onInterface(kUnit).get<std::string>();
            answer.job = job_of(connection, unit);
        } catch (const sdbus::Error& error) {
            if (kind_of(error.getName()) != ErrorKind::not_found) throw;
        }
        return answer;
    });
}

ManagerFacts manager_facts() {
    const Connection connection = user_bus();
    return translated("asking the systemd user manager", [&] {
        const Proxy manager = object_of(connection, kSystemd, kManagerPath);
        ManagerFacts facts;
        facts.version = manager_property(manager, "Version");
        facts.state = manager_property(manager, "SystemState");
        facts.control_group = manager_property(manager, "ControlGroup");
        return facts;
    });
}

Linger linger(uid_t uid) {
    const Connection connection = system_bus();
    const Proxy manager = object_of(connection, kLogin, kLoginPath);
    try {
        return translated("asking logind for lingering", [&] {
            sdbus::ObjectPath user;
            manager->callMethod("GetUser")
                .onInterface(kLoginManager)
                .withArguments(static_cast<std::uint32_t>(uid))
                .storeResultsTo(user);
            const bool on = object_of(connection, kLogin, user)
                                ->getProperty("Linger")
                                .onInterface("org.freedesktop.login1.User")
                                .get<bool>();
            return on ? Linger::on : Linger::off;
        });
    } catch (const Error& error) {
        // Who lingers is known to logind even without a login.
        if (error.kind() == ErrorKind::not_found) return Linger::off;
        throw;
    }
}

void set_linger(uid_t uid, Linger wanted) {
    const Connection connection = system_bus();
    const Proxy manager = object_of(connection, kLogin, kLoginPath);
    try {
        translated("asking logind for lingering", [&] {
            manager->callMethod("SetUserLinger")
                .onInterface(kLoginManager)
                .withArguments(static_cast<std::uint32_t>(uid), wanted == Linger::on, false);
        });
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::denied) throw;
        throw Error(ErrorKind::denied,
                    "logind lets only an administrator change lingering ({}): `sudo loginctl "
                    "{}-linger {}`",
                    error.message(), wanted == Linger::on ? "enable" : "disable", uid);
    }
}

}  // namespace berth::systemd::bus

#include "bus_world.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "linux/message_socket.h"
#include "linux/spawn.h"

namespace berth::test {
namespace {

constexpr const char* kConfig = R"(<busconfig><type>session</type>
<listen>unix:path={}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>)";
constexpr const char* kSystemdPath = "/org/freedesktop/systemd1";
constexpr const char* kUnitPath = "/org/freedesktop/systemd1/unit/x";
constexpr const char* kJobPath = "/org/freedesktop/systemd1/job/7";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";

BusWorld& world_of(void* data) { return *static_cast<BusWorld*>(data); }

std::string value_text(sd_bus_message* m) {
    char type = 0;
    const char* contents = nullptr;
    sd_bus_message_peek_type(m, &type, &contents);
    const std::string signature = contents ? contents : "";
    sd_bus_message_enter_container(m, 'v', contents);
    std::string text = "?" + signature;
    if (signature == "s") {
        const char* value = "";
        sd_bus_message_read(m, "s", &value);
        text = value;
    } else if (signature == "b") {
        int value = 0;
        sd_bus_message_read(m, "b", &value);
        text = value ? "yes" : "no";
    } else if (signature == "t") {
        std::uint64_t value = 0;
        sd_bus_message_read(m, "t", &value);
        text = std::to_string(value);
    } else {
        sd_bus_message_skip(m, contents);
    }
    sd_bus_message_exit_container(m);
    return text;
}

void announce(sd_bus* bus, const char* unit, const std::string& result) {
    sd_bus_emit_signal(bus, kSystemdPath, kManager, "JobRemoved", "uoss", 7U, kJobPath, unit,
                       result.c_str());
}

int start_transient(sd_bus_message* m, void* data, sd_bus_error* error) {
    BusWorld& world = world_of(data);
    sd_bus* bus = sd_bus_message_get_bus(m);
    const char *name = "", *mode = "";
    sd_bus_message_read(m, "ss", &name, &mode);
    if (world.behaviour.exists-- > 0) {
        sd_bus_reply_method_errorf(m, "org.freedesktop.systemd1.UnitExists",
                                   "Unit %s already exists.", name);
        if (world.behaviour.removes)
            sd_bus_emit_signal(bus, kSystemdPath, kManager, "UnitRemoved", "so", name, kUnitPath);
        return 1;
    }
    std::map<std::string, std::string> properties{{"name", name}, {"mode", mode}};
    sd_bus_message_enter_container(m, 'a', "(sv)");
    while (sd_bus_message_enter_container(m, 'r', "sv") > 0) {
        const char* key = "";
        sd_bus_message_read(m, "s", &key);
        properties[key] = value_text(m);
        sd_bus_message_exit_container(m);
    }
    if (!world.behaviour.knows_oom_policy && properties.contains("OOMPolicy"))
        return sd_bus_error_set(error, "org.freedesktop.DBus.Error.PropertyReadOnly",
                                "Cannot set property OOMPolicy, or unknown property.");
    {
        const std::lock_guard lock(world.mutex);
        world.seen = properties;
    }
    sd_bus_reply_method_return(m, "o", kJobPath);
    if (!world.behaviour.job_result.empty()) announce(bus, name, world.behaviour.job_result);
    return 1;
}

int stop_unit(sd_bus_message* m, void* data, sd_bus_error*) {
    const char *name = "", *mode = "";
    sd_bus_message_read(m, "ss", &name, &mode);
    sd_bus_reply_method_return(m, "o", kJobPath);
    announce(sd_bus_message_get_bus(m), name, world_of(data).behaviour.job_result);
    return 1;
}

int reply_nothing(sd_bus_message* m, void*, sd_bus_error*) {
    return sd_bus_reply_method_return(m, "");
}
int reply_unit(sd_bus_message* m, void*, sd_bus_error*) {
    return sd_bus_reply_method_return(m, "o", kUnitPath);
}
int set_linger(sd_bus_message* m, void* data, sd_bus_error* error) {
    const std::string& refusal = world_of(data).behaviour.linger_refusal;
    if (refusal.empty()) return sd_bus_reply_method_return(m, "");
    return sd_bus_error_set(error, refusal.c_str(), "Access denied");
}

using Text = std::string (*)(BusWorld&);
template <Text Of>
int text_property(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* data,
                  sd_bus_error*) {
    return sd_bus_message_append(reply, "s", Of(world_of(data)).c_str());
}
std::string version(BusWorld&) { return "252"; }
std::string state(BusWorld& world) { return world.behaviour.state; }
std::string group(BusWorld&) { return "/user.slice/x"; }
std::string unit_name(BusWorld&) { return "berth.service"; }
std::string job_type(BusWorld& world) { return world.behaviour.job_type; }
int unit_job(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* data,
             sd_bus_error*) {
    const bool none = world_of(data).behaviour.job_type.empty();
    return sd_bus_message_append(reply, "(uo)", none ? 0U : 7U, none ? "/" : kJobPath);
}

const sd_bus_vtable kManagerTable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Subscribe", "", "", reply_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StartTransientUnit", "ssa(sv)a(sa(sv))", "o", start_transient,
                  SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StopUnit", "ss", "o", stop_unit, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("GetUnit", "s", "o", reply_unit, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("GetUnitByPID", "u", "o", reply_unit, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("Version", "s", text_property<version>, 0, 0),
    SD_BUS_PROPERTY("SystemState", "s", text_property<state>, 0, 0),
    SD_BUS_PROPERTY("ControlGroup", "s", text_property<group>, 0, 0),
    SD_BUS_VTABLE_END};
const sd_bus_vtable kUnitTable[] = {
    SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("Id", "s", text_property<unit_name>, 0, 0),
    SD_BUS_PROPERTY("Job", "(uo)", unit_job, 0, 0), SD_BUS_VTABLE_END};
const sd_bus_vtable kScopeTable[] = {
    SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("ControlGroup", "s", text_property<group>, 0, 0),
    SD_BUS_VTABLE_END};
const sd_bus_vtable kJobTable[] = {SD_BUS_VTABLE_START(0),
                                   SD_BUS_PROPERTY("JobType", "s", text_property<job_type>, 0, 0),
                                   SD_BUS_VTABLE_END};
const sd_bus_vtable kLoginTable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("SetUserLinger", "ubb", "", set_linger, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END};

linux_os::PidFd start_daemon(const std::string& directory) {
    const std::string file = directory + "/bus.conf";
    replace_file(file, fmt::format(fmt::runtime(kConfig), directory), 0600, Durability::process);
    Pipe pipe = Pipe::make();
    linux_os::SpawnRequest request;
    request.program = "/usr/bin/dbus-daemon";
    request.arguments = {"dbus-daemon", "--nofork", "--nopidfile", "--print-address=1",
                         "--config-file=" + file};
    request.fds = {{pipe.write, STDOUT_FILENO}};
    linux_os::PidFd daemon = linux_os::spawn(request);
    linux_os::wait_readable(pipe.read, 10'000);
    return daemon;
}

}  // namespace

BusWorld::BusWorld(Services services, Behaviour wanted)
    : behaviour(std::move(wanted)), stop_(Pipe::make()) {
    std::string pattern = std::filesystem::temp_directory_path().string() + "/berth-bus-XXXXXX";
    if (!::mkdtemp(pattern.data())) throw_errno("making a directory");
    directory_ = pattern;
    daemon_ = start_daemon(directory_);
    ::setenv("DBUS_SESSION_BUS_ADDRESS", address().c_str(), 1);
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", address().c_str(), 1);
    if (services == Services::absent) return;
    thread_ = std::thread([this] { serve(); });
    // Until the names are taken: a client that comes before is told that nobody is there.
    sd_bus* bus = nullptr;
    sd_bus_open_user(&bus);
    for (int names = 0; names < 2;) {
        const char* name = names == 0 ? "org.freedesktop.systemd1" : "org.freedesktop.login1";
        if (sd_bus_get_name_creds(bus, name, 0, nullptr) >= 0) ++names;
        std::this_thread::yield();
    }
    sd_bus_unref(bus);
}

BusWorld::~BusWorld() {
    stop_.write.reset();
    if (thread_.joinable()) thread_.join();
    daemon_.signal(SIGTERM);
    (void)daemon_.reap();
    ::unsetenv("DBUS_SESSION_BUS_ADDRESS");
    ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
    remove_tree(directory_);
}

std::map<std::string, std::string> BusWorld::scope() {
    const std::lock_guard lock(mutex);
    return seen;
}

void BusWorld::serve() {
    sd_bus* bus = nullptr;
    if (sd_bus_open_user(&bus) < 0) return;
    const auto offer = [&](const char* path, const char* interface, const sd_bus_vtable* table) {
        sd_bus_add_object_vtable(bus, nullptr, path, interface, table, this);
    };
    offer(kSystemdPath, kManager, kManagerTable);
    offer(kUnitPath, "org.freedesktop.systemd1.Unit", kUnitTable);
    offer(kUnitPath, "org.freedesktop.systemd1.Scope", kScopeTable);
    offer(kJobPath, "org.freedesktop.systemd1.Job", kJobTable);
    offer("/org/freedesktop/login1", "org.freedesktop.login1.Manager", kLoginTable);
    sd_bus_request_name(bus, "org.freedesktop.systemd1", 0);
    sd_bus_request_name(bus, "org.freedesktop.login1", 0);
    for (;;) {
        while (sd_bus_process(bus, nullptr) > 0) {
        }
        pollfd fds[] = {{sd_bus_get_fd(bus), POLLIN, 0}, {stop_.read.get(), POLLIN, 0}};
        ::poll(fds, 2, -1);
        if (fds[1].revents) break;
    }
    sd_bus_flush_close_unref(bus);
}

}  // namespace berth::test

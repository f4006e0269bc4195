#include "cli/doctor_store.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/default_host.h"
#include "cli/engine_client.h"
#include "linux/enter_namespaces.h"
#include "linux/spawn.h"
#include "rootlesskit/preflight.h"

namespace berth::cli {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kPatience{10};

class Holder final {
  public:
    Holder() : process_(start()) {}
    ~Holder() {
        process_.signal(SIGKILL);
        (void)process_.reap();
    }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    BorrowedFd fd() const { return process_.fd(); }

  private:
    static linux_os::PidFd start() {
        const rootlesskit::Facts facts = rootlesskit::gather_facts();
        try {
            return rootlesskit::start_holder(rootlesskit::plan_holder(facts));
        } catch (const rootlesskit::HolderFailure& failure) {
            throw Error::with_text(ErrorKind::unavailable,
                                   rootlesskit::message_of(rootlesskit::explain(failure, facts)));
        }
    }
    linux_os::PidFd process_;
};

json examine_alone(const std::string& data_root, StoreFix fix) {
    if (!exists(data_root)) throw Error(ErrorKind::not_found, "there is no {}", data_root);
    const Holder holder;
    Pipe pipe = Pipe::make();
    linux_os::SpawnRequest request;
    request.program = linux_os::find_own_program("berth-engine");
    request.arguments = {"berth-engine", "check-store", data_root};
    if (fix == StoreFix::yes) request.arguments.push_back("fix");
    request.environment = linux_os::current_environment();
    request.fds = {{pipe.write, STDOUT_FILENO},
                   {BorrowedFd{STDERR_FILENO}, STDERR_FILENO},
                   {holder.fd(), linux_os::kHolderPidFd}};
    const linux_os::PidFd process = linux_os::spawn(request);
    pipe.write.reset();
    const std::string text = read_all(pipe.read);
    if (process.reap().code != 0)
        throw Error(ErrorKind::unavailable, "the store of {} could not be checked", data_root);
    return parse_json(text);
}

/// Or only in the way.
bool is_broken(const std::string& kind) { return !kind.starts_with("unused-"); }

std::string line_of(const JsonReader& fault) {
    const std::string kind = fault.string("kind");
    const std::string id = fault.string("id").substr(7, 12);
    const std::vector<std::string> names = fault.strings("names");
    return fmt::format("{:<8}  {} {}{}: {}\n", is_broken(kind) ? "broken" : "unused",
                       kind.substr(kind.find('-') + 1), id,
                       names.empty() ? "" : fmt::format(" ({})", fmt::join(names, ", ")),
                       fault.string("problem"));
}

}  // namespace

json examine_store(const std::string& data_root, StoreFix fix) {
    const std::string host = own_host();
    if (!answers(host, kPatience)) return examine_alone(data_root, fix);
    EngineClient engine(host);
    return engine.post(fix == StoreFix::yes ? "/berth/store/check?fix=1" : "/berth/store/check",
                       json());
}

std::string store_text(const json& report, StoreFix fix) {
    const JsonReader reader(report);
    std::string text;
    for (const JsonReader& fault : reader.objects("faults")) text += line_of(fault);
    for (const std::string& done : reader.strings("done")) text += "fixed     " + done + "\n";
    for (const std::string& kept : reader.strings("kept")) text += "not fixed " + kept + "\n";
    for (const std::string& name : reader.strings("pull_again"))
        text += "  pull or load again: " + name + "\n";
    const std::size_t faults = report.at("faults").size();
    if (faults == 0) text += "ok        ";
    text += fmt::format("{} images, {} layers, {} faults\n", reader.integer("images"),
                        reader.integer("layers"), faults);
    if (faults != 0 && fix == StoreFix::no) text += "  mend: berth doctor --store --fix\n";
    return text;
}

bool store_is_whole(const json& report, StoreFix fix) {
    const JsonReader reader(report);
    if (fix == StoreFix::yes) return reader.strings("kept").empty();
    for (const JsonReader& fault : reader.objects("faults")) {
        const std::string kind = fault.string("kind");
        if (is_broken(kind)) return false;
    }
    return true;
}

}  // namespace berth::cli

// An engine with canned answers behind the real public headers, so that the API is tested without
// namespaces, shims or images: one container "web" that is attached to, waited for and logged.
#include <sys/socket.h>

#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

#include "async/fd_wait.h"
#include "async/sync.h"
#include "async/worker_pool.h"
#include "base/file.h"
#include "engine/build/build.h"
#include "engine/build/registry_config.h"
#include "engine/engine.h"
#include "tests/api/fake_engine.h"

namespace berth::engine {
using nlohmann::json;

FakeEngine& fake() {
    static FakeEngine one;
    return one;
}

// Filters: the real one is linked; only the services are canned.
struct ContainerDependencies {};
struct ContainerState {};
struct ImageDependencies {};
struct ImageState {
    async::WorkerPool workers{2};
};
struct VolumeDependencies {};
struct VolumeState {};
struct NetworkDependencies {};
struct NetworkState {};
struct ExecState {};
struct BuilderDependencies {};
struct BuilderState {};
struct SystemDependencies {};
struct Wait::State {};
struct EventStream::Subscription {};

namespace {
void require(const std::string& ref) {
    if (ref != "web") throw Error(ErrorKind::not_found, "No such container: {}", ref);
}

async::Task<> echo(UniqueFd client, std::string early) {
    std::string text = "early=" + early + ";";
    for (std::size_t size = 1; size > 0;) {
        ::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL);
        co_await async::wait_readable(client);
        text.resize(4096);
        const ssize_t got = ::recv(client.get(), text.data(), text.size(), 0);
        size = got > 0 ? static_cast<std::size_t>(got) : 0;
        text.resize(size);
    }
    ::send(client.get(), "bye", 3, MSG_NOSIGNAL);
}

class CannedLog final : public LogStream {
  public:
    StreamKind kind() const override { return StreamKind::multiplexed; }
    async::Task<std::optional<std::string>> next() override {
        if (std::exchange(first_, false)) co_return "line\n";
        try {
            co_await async::sleep_for(std::chrono::hours(1));
        } catch (...) {
            fake().log_cancelled = true;
            throw;
        }
        co_return std::nullopt;
    }

  private:
    bool first_ = true;
};
}  // namespace

Containers::Containers(ContainerDependencies) : state_(std::make_unique<ContainerState>()) {}
Containers::~Containers() = default;
async::Task<ContainerCreated> Containers::create(model::CreateRequest request,
                                                 CreateOptions options) {
    if (request.config.image == "absent")
        throw Error(ErrorKind::not_found, "No such image: absent:latest");
    co_return ContainerCreated{"id-of-" + options.name, {}};
}
async::Task<void> Containers::start(std::string ref, std::string) {
    require(ref);
    throw Error(ErrorKind::not_modified, "already");
    co_return;
}
async::Task<void> Containers::stop(std::string ref, StopOptions options) {
    require(ref);
    fake().stopped = std::move(options);
    co_return;
}
async::Task<void> Containers::restart(std::string ref, StopOptions) {
    require(ref);
    co_return;
}
async::Task<void> Containers::kill(std::string ref, std::string) {
    require(ref);
    co_return;
}
async::Task<void> Containers::pause(std::string) { co_return; }
async::Task<void> Containers::unpause(std::string) { co_return; }
async::Task<std::vector<std::string>> Containers::update(std::string, model::UpdateRequest) {
    co_return std::vector<std::string>{};
}
async::Task<void> Containers::remove(std::string ref, RemoveOptions) {
    require(ref);
    co_return;
}
async::Task<void> Containers::rename(std::string ref, std::string) {
    require(ref);
    co_return;
}
async::Task<void> Containers::resize(std::string ref, std::uint32_t, std::uint32_t) {
    require(ref);
    co_return;
}
WaitCondition wait_condition_from(const std::string& text) {
    if (text.empty()) return WaitCondition::not_running;
    if (text == "next-exit") return WaitCondition::next_exit;
    throw Error(ErrorKind::invalid, "invalid condition: \"{}\"", text);
}
async::Task<WaitOutcome> Wait::outcome() {
    co_await fake().exited.wait();
    co_return WaitOutcome{3, ""};
}
Wait Containers::wait(const std::string& ref, WaitCondition) {
    require(ref);
    return Wait(std::make_shared<Wait::State>());
}
StreamKind Containers::check_attach(const std::string& ref, const AttachRequest&) const {
    require(ref);
    return StreamKind::multiplexed;
}
async::Task<void> Containers::attach(std::string, AttachRequest, UniqueFd client,
                                     std::string early) {
    return echo(std::move(client), std::move(early));
}
std::unique_ptr<LogStream> Containers::logs(const std::string& ref, const LogRequest&) {
    require(ref);
    return std::make_unique<CannedLog>();
}
std::unique_ptr<StatsStream> Containers::stats(const std::string& ref, StatsMode) {
    require(ref);
    return nullptr;
}
async::Task<json> Containers::top(std::string ref, std::string arguments) {
    require(ref);
    co_return json{{"Titles", {arguments}}};
}
async::Task<json> Containers::list(ListRequest request) {
    request.filters.check_keys({"label"});
    co_return json::array();
}
async::Task<json> Containers::inspect(std::string ref, WithSize) {
    require(ref);
    co_return json{{"Name", "/web"}};
}

Execs::Execs(ContainerState&) {}
Execs::~Execs() = default;
ExecConfig ExecConfig::from_json(const json&) { return {}; }
ExecStart ExecStart::from_json(const json& body) {
    ExecStart start;
    start.detach = body.value("Detach", false);
    return start;
}
async::Task<std::string> Execs::create(std::string container, ExecConfig) {
    require(container);
    co_return "e1";
}
async::Task<StreamKind> Execs::begin(std::string id, ExecStart) {
    if (id != "e1") throw Error(ErrorKind::not_found, "No such exec instance: {}", id);
    co_return StreamKind::raw;
}
async::Task<void> Execs::start_detached(std::string) { co_return; }
async::Task<void> Execs::start_attached(std::string, UniqueFd client, std::string early) {
    return echo(std::move(client), std::move(early));
}
async::Task<void> Execs::resize(std::string, std::uint32_t, std::uint32_t) { co_return; }
json Execs::inspect(const std::string&) const { return {{"ExitCode", nullptr}}; }

json Event::to_json() const { return {{"Type", type}}; }
EventStream::EventStream(std::shared_ptr<Subscription>) {}
EventStream::~EventStream() = default;
async::Task<std::optional<Event>> EventStream::next() {
    if (std::exchange(fake().events_left, 0) == 0) co_return std::nullopt;
    Event event;
    event.type = "container";
    co_return event;
}
std::unique_ptr<EventStream> Events::subscribe(const EventsRequest&) {
    return std::make_unique<EventStream>(nullptr);
}

Images::Images(ImageDependencies) : state_(std::make_unique<ImageState>()) {}
Images::~Images() = default;
async::Task<void> Images::pull(PullRequest request, ProgressSink sink, std::stop_token) {
    fake().registry_auth = request.registry_auth;
    if (request.from_image == "absent") throw Error(ErrorKind::not_found, "no such repository");
    sink({{"status", "Pulling"}});
    co_await async::sleep_for(std::chrono::milliseconds(5));
    if (request.from_image == "broken") throw Error(ErrorKind::internal, "layer <x> is corrupt");
    sink({{"status", "Done"}});
}
async::Task<void> Images::push(PushRequest request, ProgressSink sink, std::stop_token) {
    sink({{"status", "Pushing " + request.name + ":" + request.tag}});
    co_return;
}
async::Task<json> Images::login(RegistryLogin, std::stop_token) { co_return json::object(); }
async::Task<json> Images::search(SearchRequest, std::stop_token) { co_return json::array(); }
async::Task<json> Images::distribution(std::string, std::string, std::stop_token) {
    co_return json::object();
}
async::Task<void> Images::load(UniqueFd tar, LoadRequest, ProgressSink sink, std::stop_token) {
    auto read = [fd = std::make_shared<UniqueFd>(std::move(tar))] {
        return read_all(*fd, 64U << 20).size();
    };
    const std::size_t size = co_await state_->workers.run(std::move(read));
    sink({{"stream", fmt::format("{} bytes", size)}});
}
async::Task<void> Images::save(SaveRequest request, UniqueFd into, std::stop_token) {
    const std::string& name = request.names.front();
    if (name == "absent") throw Error(ErrorKind::not_found, "No such image: {}", name);
    write_all(into, "archive of " + name);
    co_return;
}
async::Task<std::string> Images::import(UniqueFd, ImportRequest, std::stop_token) {
    throw Error(ErrorKind::invalid, "no tar archive");
    co_return "";
}
json Images::list(const ImageListRequest&) const { return json::array({{{"Size", 7}}}); }
json Images::inspect(const std::string& name, const std::string&) const { return {{"Id", name}}; }
json Images::history(const std::string&, const std::string&) const { return json::array(); }
async::Task<void> Images::tag(std::string, std::string, std::string) { co_return; }
async::Task<json> Images::remove(std::string, ImageRemoveOptions) { co_return json::array(); }
async::Task<json> Images::check_store(StoreCheck, std::stop_token) { co_return json::object(); }

VolumeRequest VolumeRequest::from_json(const json&) { return {}; }
Volumes::Volumes(VolumeDependencies) {}
Volumes::~Volumes() = default;
async::Task<json> Volumes::create(VolumeRequest) { co_return json::object(); }
json Volumes::inspect(const std::string& name) const {
    throw Error(ErrorKind::not_found, "get {}: no such volume", name);
}
json Volumes::list(const Filters&) const { return {{"Volumes", json::array()}}; }
async::Task<void> Volumes::remove(std::string, Force) { co_return; }

Networks::Networks(NetworkDependencies) {}
Networks::~Networks() = default;
json Networks::list(const Filters&) const { return json::array(); }
json Networks::inspect(const std::string&) const { return json::object(); }
async::Task<json> Networks::create(json) { co_return json::object(); }
async::Task<json> Networks::prune(Filters) { co_return json::object(); }
async::Task<void> Networks::remove(std::string) { co_return; }
async::Task<void> Containers::connect(std::string, json) { co_return; }
async::Task<PathStat> Containers::stat_path(std::string, std::string) { co_return PathStat{}; }
async::Task<OpenedArchive> Containers::open_archive(std::string, std::string) {
    co_return OpenedArchive{};
}
async::Task<void> Containers::send_archive(OpenedArchive, UniqueFd, std::stop_token) { co_return; }
async::Task<void> Containers::put_archive(std::string, ArchivePut, UniqueFd, std::stop_token) {
    co_return;
}
async::Task<void> Containers::export_root(std::string, UniqueFd, std::stop_token) { co_return; }
async::Task<json> Containers::changes(std::string) { co_return json::array(); }
async::Task<std::string> Containers::commit(std::string, CommitRequest, std::stop_token) {
    co_return "";
}
async::Task<void> Containers::disconnect(std::string, json) { co_return; }

System::System(SystemDependencies) {}
System::~System() = default;
json System::info() const { return {{"Name", "<fake>"}}; }
json System::version() const { return {{"ApiVersion", kApiVersion}}; }

struct HousekeepingDependencies {};
struct Housekeeping::State {};
Housekeeping::Housekeeping(HousekeepingDependencies) {}
Housekeeping::~Housekeeping() = default;
async::Task<json> Housekeeping::prune_containers(Filters) { co_return json::object(); }
async::Task<json> Housekeeping::prune_images(Filters) { co_return json::object(); }
async::Task<json> Housekeeping::prune_volumes(Filters, PrunedVolumes) { co_return json::object(); }
async::Task<std::vector<CacheFacts>> Housekeeping::prune_build_cache(Filters, CacheLimits) {
    co_return std::vector<CacheFacts>();
}
async::Task<std::vector<CacheFacts>> Housekeeping::build_cache(Filters) {
    co_return std::vector<CacheFacts>();
}
async::Task<json> Housekeeping::disk_usage(std::set<std::string> types) { co_return json(types); }

RegistryAuth registry_auth_of(const std::string&) { return {}; }
Builder::Builder(BuilderDependencies) : state_(std::make_unique<BuilderState>()) {}
Builder::~Builder() = default;
async::Task<std::shared_ptr<const BuildContext>> Builder::unpack_context(UniqueFd, std::string,
                                                                         std::stop_token) {
    co_return std::make_shared<const BuildContext>();
}
async::Task<std::shared_ptr<const BuildContext>> Builder::fetch_context(RemoteContext,
                                                                        std::stop_token) {
    co_return std::make_shared<const BuildContext>();
}
async::Task<BuildResult> Builder::build(BuildRequest, std::shared_ptr<const BuildContext>,
                                        BuildLog&, std::stop_token) {
    co_return BuildResult{};
}

struct Engine::Parts {
    Parts(boost::asio::io_context& io, Settings given)
        : settings(std::move(given)),
          containers({}),
          execs(containers.state()),
          images({}),
          builder({}),
          volumes({}),
          networks({}),
          housekeeping({}),
          events(io),
          system({}) {}
    Settings settings;
    Containers containers;
    Execs execs;
    Images images;
    Builder builder;
    Volumes volumes;
    Networks networks;
    Housekeeping housekeeping;
    Events events;
    System system;
};
Engine::Engine(boost::asio::io_context& io, Settings settings)
    : parts_(std::make_unique<Parts>(io, std::move(settings))) {}
Engine::~Engine() = default;
Containers& Engine::containers() { return parts_->containers; }
Execs& Engine::execs() { return parts_->execs; }
Images& Engine::images() { return parts_->images; }
Builder& Engine::builder() { return parts_->builder; }
Volumes& Engine::volumes() { return parts_->volumes; }
Networks& Engine::networks() { return parts_->networks; }
Housekeeping& Engine::housekeeping() { return parts_->housekeeping; }
Events& Engine::events() { return parts_->events; }
System& Engine::system() { return parts_->system; }
const Settings& Engine::settings() const { return parts_->settings; }

}  // namespace berth::engine

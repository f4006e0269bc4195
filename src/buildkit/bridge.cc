// moby.buildkit.v1.frontend.LLBBridge: what a client asks while its Control.Solve is open; the
// metadata name the build.
#include <array>
#include <utility>

#include "base/id.h"
#include "buildkit/job.h"
#include "buildkit/methods.h"

namespace berth::buildkit {

using grpc::WireWriter;

namespace {
constexpr const char* kBuildId = "buildkit-controlapi-buildid";

/// What frontends may ask of us, by BuildKit's names.
constexpr std::array kCapabilities{"solve.base",
                                   "resolveimage",
                                   "return",
                                   "returnmap",
                                   "proto.refarray",
                                   "importcaches",
                                   "gateway.solve.metadata",
                                   "gateway.solve.evaluate",
                                   "gateway.evaluate",
                                   "gateway.warnings",
                                   "reference.output",
                                   "frontend.inputs",
                                   "frontend.caps"};

async::Task<std::shared_ptr<Build>> build_of(Service& service, const grpc::Call& call) {
    std::string id(grpc::find(call.metadata(), kBuildId));
    if (id.empty()) throw Error(ErrorKind::invalid, "{} names no build", call.method());
    co_return co_await service.find_build(std::move(id));
}

async::Task<> ping(Service& service, grpc::Call call) {
    co_await call.read_one();
    co_await build_of(service, call);
    WireWriter pong;
    for (const char* capability : kCapabilities)
        pong.message(1, WireWriter().text(1, capability).number(2, 1));
    // Of what a definition may ask: the outputs of one build may be several.
    pong.message(2, WireWriter().text(1, "exporter.multiple").number(2, 1));
    pong.message(3, worker_record());
    co_await call.write(pong.take());
}

async::Task<> solve_on_bridge(Service& service, grpc::Call call) {
    const std::string bytes = co_await call.read_one();
    SolveRequest request = decode_bridge_solve(bytes);
    const auto build = co_await build_of(service, call);
    std::string result;
    refuse_definition(request);
    if (!request.frontend.empty())
        result = co_await solve_frontend(service, build, std::move(request));
    co_await call.write(WireWriter().message(3, std::string_view(result)).take());
}

async::Task<> return_result(Service& service, grpc::Call call) {
    const std::string bytes = co_await call.read_one();
    const auto build = co_await build_of(service, call);
    build->returned = decode_return(bytes);
    build->ended.set();
    co_await call.write(std::string());
}

/// WarnRequest: "short" is its line.
async::Task<> warn(Service& service, grpc::Call call) {
    const std::string bytes = co_await call.read_one();
    const auto build = co_await build_of(service, call);
    build->progress->warn({decode_text(bytes, 3)});
    co_await call.write(std::string());
}

/// Results are built before their references are given away.
async::Task<> evaluate(Service&, grpc::Call call) {
    co_await call.read_one();
    co_await call.write(std::string());
}

constexpr std::array kBridgeMethods{
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.frontend.LLBBridge/Ping", ping},
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.frontend.LLBBridge/Solve",
                                        solve_on_bridge},
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.frontend.LLBBridge/Return",
                                        return_result},
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.frontend.LLBBridge/Warn", warn},
    std::pair<std::string_view, Method>{"/moby.buildkit.v1.frontend.LLBBridge/Evaluate", evaluate}};
}  // namespace

void refuse_definition(const SolveRequest& request) {
    if (request.has_definition)
        throw Error(ErrorKind::unsupported,
                    "steps in BuildKit's own form (LLB) are not supported: berth builds "
                    "Dockerfiles");
}

async::Task<std::string> solve_frontend(Service& service, std::shared_ptr<Build> build,
                                        SolveRequest request) {
    // Where a client's library puts the caches depends on its age.
    if (request.cache_imports.empty()) request.cache_imports = build->request.cache_imports;
    const auto imports = build->request.options.find("cache-imports");
    if (imports != build->request.options.end()) request.options.insert(*imports);
    FrontendOptions options = frontend_options(request);
    options.request.registry_auth = build->registry_auth;
    if (build->request.options.empty()) build->request.options = request.options;
    std::shared_ptr<Session> session;
    if (!build->request.session.empty())
        session = co_await service.find_session(build->request.session);
    const auto job = std::make_shared<Job>(service.engine(), service.tasks(), std::move(session),
                                           build->progress, std::move(options));
    job->archive = std::move(build->archive);
    std::string image = co_await run_job(job);
    if (!job->answer.empty()) co_return WireWriter().map(10, job->answer).take();
    const std::string ref = random_hex_id();
    WireWriter result;
    result.text(1, ref).message(2, encode_result_definition(image));
    build->results.emplace(ref, std::move(image));
    co_return WireWriter().message(3, result).take();
}

Methods bridge_methods() { return kBridgeMethods; }

}  // namespace berth::buildkit

// One build from its request to its record: what the client's part of it ends with goes where the
// exporters say.
#include "buildkit/methods.h"
#include "engine/engine.h"

namespace berth::buildkit {

namespace {
/// The image that the client's part of the build ended with; empty: none.
async::Task<std::string> result_of(Service& service, std::shared_ptr<Build> build) {
    refuse_definition(build->request);
    if (!build->request.frontend.empty()) {
        co_await solve_frontend(service, build, build->request);
        co_return build->results.empty() ? std::string() : build->results.begin()->second;
    }
    co_await build->ended.wait();
    const ReturnedResult& returned = build->returned;
    if (returned.failure.code != grpc::Code::ok) throw grpc::error_of(returned.failure);
    if (returned.ref.empty()) co_return "";
    const auto found = build->results.find(returned.ref);
    if (found == build->results.end())
        throw Error(ErrorKind::not_found, "no such result {}", returned.ref);
    co_return found->second;
}

async::Task<> build_and_export(Service& service, std::shared_ptr<Build> build) {
    // Every image here can be a cache: that is what "inline" asks for.
    for (const Typed& cache : build->request.cache_exports)
        if (cache.type != "inline")
            throw Error(ErrorKind::unsupported,
                        "a cache of the type {} is not written: push the image, and name it with "
                        "--cache-from",
                        cache.type);
    std::string image = co_await result_of(service, build);
    build->response = co_await export_result(service, build, std::move(image));
}

BuildRecord record_of(const Build& build) {
    BuildRecord record;
    record.ref = build.request.ref;
    record.frontend = build.request.frontend;
    record.options = build.request.options;
    record.exporters = build.request.exporters;
    record.created = build.created;
    record.response = build.response;
    record.steps = build.progress->counts();
    return record;
}
}  // namespace

// On its own: a client that goes takes its call with it, not the record.
async::Task<> Service::keep_record(BuildRecord record, std::shared_ptr<Build> build) {
    const std::string ref = record.ref;
    std::exception_ptr failure;
    try {
        co_await history_.finish(std::move(record), build->progress->kept());
    } catch (...) {
        failure = std::current_exception();
    }
    builds_.erase(ref);
    build->kept.set();
    if (failure) std::rethrow_exception(failure);
}

async::Task<> Service::solve(std::shared_ptr<Build> build) {
    add_build(build);
    const bool recorded = !build->request.internal;
    if (recorded) history_.begin(record_of(*build));
    std::exception_ptr failure;
    try {
        co_await build_and_export(*this, build);
    } catch (...) {
        failure = std::current_exception();
    }
    grpc::Status status;
    if (failure) status = grpc::status_of(async::to_error(failure));
    build->progress->finish(status.message);
    if (!recorded) {
        retire(build->request.ref);
    } else {
        BuildRecord record = record_of(*build);
        record.completed = Timestamp::now();
        record.code = static_cast<int>(status.code);
        record.error = status.message;
        tasks_.spawn("build record", keep_record(std::move(record), build));
        if (!failure || !async::is_cancellation(failure)) co_await build->kept.wait();
    }
    if (failure) std::rethrow_exception(failure);
}

}  // namespace berth::buildkit

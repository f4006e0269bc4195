#include "api/progress.h"

#include <boost/asio/co_spawn.hpp>
#include <nlohmann/json.hpp>

#include "api/background_work.h"
#include "api/errors.h"
#include "api/upload.h"
#include "base/json.h"
#include "linux/socket_pair.h"

namespace berth::api {

namespace {
/// Docker ends each object of a progress stream so.
constexpr const char* kLineEnd = "\r\n";

/// `lines` is what the work has said and the client has not got yet.
struct Progress final : BackgroundWork {
    std::string lines;
};

std::string failure_line(const std::exception_ptr& failure) {
    return dump_json(failure_object(async::to_error(failure))) + kLineEnd;
}

async::Task<> send_progress(Call& call, std::shared_ptr<Progress> progress) {
    for (;;) {
        co_await progress->changed.wait();
        progress->changed.clear();
        const std::string lines = std::exchange(progress->lines, {});
        if (!lines.empty()) {
            if (!call.exchange.replied()) co_await call.exchange.stream(200, json_headers());
            co_await call.exchange.write(lines);
        } else if (progress->done) {
            break;
        }
        if (progress->done) progress->changed.set();
    }
    if (progress->failure && !call.exchange.replied()) std::rethrow_exception(progress->failure);
    if (!call.exchange.replied()) co_await call.exchange.stream(200, json_headers());
    if (progress->failure) co_await call.exchange.write(failure_line(progress->failure));
    co_await call.exchange.finish();
}

engine::ProgressSink sink_of(const std::shared_ptr<Progress>& progress) {
    return [progress](const nlohmann::json& line) {
        progress->lines += dump_json(line);
        progress->lines += kLineEnd;
        progress->changed.set();
    };
}

/// Waits for the work's end, so that nothing of the call is used after it.
async::Task<> finish(Call& call, std::shared_ptr<Progress> progress) {
    std::exception_ptr failure;
    try {
        co_await call.exchange.cancel_on_disconnect(send_progress(call, progress));
    } catch (...) {
        failure = std::current_exception();
    }
    progress->stop.request_stop();
    co_await until_done(progress);
    if (failure) std::rethrow_exception(failure);
}
}  // namespace

nlohmann::json failure_object(const Error& error) {
    return {{"errorDetail", {{"message", error.message()}}}, {"error", error.message()}};
}

async::Task<> reply_with_progress(Call& call, ProgressWork work) {
    const auto progress = std::make_shared<Progress>();
    async::TaskGroup group(co_await boost::asio::this_coro::executor);
    group.spawn("transfer",
                run_work(progress, work(sink_of(progress), progress->stop.get_token())));
    co_await finish(call, progress);
}

async::Task<> reply_with_progress_of_body(Call& call, BodyWork work) {
    auto [writer, reader] = linux_os::stream_socket_pair();
    const auto progress = std::make_shared<Progress>();
    async::TaskGroup group(co_await boost::asio::this_coro::executor);
    group.spawn("transfer", run_work(progress, work(std::move(reader), sink_of(progress),
                                                    progress->stop.get_token())));
    // Go's client misbehaves when an answer comes before it has sent its body.
    std::exception_ptr failure;
    try {
        co_await pump_body(call, std::move(writer));
    } catch (...) {
        failure = std::current_exception();
        progress->stop.request_stop();
    }
    if (!failure) {
        co_await finish(call, progress);
        co_return;
    }
    co_await until_done(progress);
    std::rethrow_exception(failure);
}

}  // namespace berth::api

#include "buildkit/client_files.h"

#include <functional>

#include "archive/tar_reader.h"
#include "async/fd_wait.h"
#include "buildkit/file_sync.h"
#include "linux/socket_pair.h"

namespace berth::buildkit {

namespace {
constexpr std::size_t kMostText = 16U << 20;  // of a Dockerfile with its ignore file
constexpr std::int64_t kTold = 1 << 20;       // bytes of a context between two notes of it
constexpr const char* kUpload = "/moby.upload.v1.Upload/Pull";

/// A tar that is unpacked while it comes.
struct Unpacking final {
    async::Event done;
    ContextPointer context;
    std::exception_ptr failure;
};

async::Task<> unpack(std::shared_ptr<Job> job, std::shared_ptr<Unpacking> unpacking, UniqueFd tar,
                     std::string dockerfile) {
    try {
        unpacking->context = co_await job->engine.builder().unpack_context(
            std::move(tar), std::move(dockerfile), job->stop.get_token());
    } catch (...) {
        unpacking->failure = std::current_exception();
    }
    unpacking->done.set();
}

async::Task<> send_directory(std::shared_ptr<Job> job, SyncRequest request, std::string title,
                             UniqueFd into) {
    const Vertex vertex = job->progress->begin(std::move(title));
    TarOutput output = [&into](std::string bytes) -> async::Task<> {
        const bool wanted = co_await async::send_all(into, bytes);
        if (!wanted) throw Error(ErrorKind::cancelled, "the context is not wanted");
    };
    const std::string transfer = "transferring context:";
    std::int64_t told = 0;
    std::int64_t received = 0;
    SyncProgress progress = [&](std::int64_t bytes) {
        received = bytes;
        if (bytes - told < kTold) return;
        told = bytes;
        job->progress->transfer(vertex, transfer, bytes, 0);
    };
    co_await sync_files(job->session, std::move(request), std::move(output), std::move(progress));
    job->progress->transfer(vertex, transfer, received, 0);
    job->progress->transferred(vertex, transfer);
    job->progress->complete(vertex);
}

/// A context from the client's standard input: an archive, of any compression.
async::Task<> send_upload(std::shared_ptr<Job> job, UniqueFd into) {
    const Vertex vertex = job->progress->begin("[internal] load remote build context");
    grpc::Metadata metadata{{"urlpath", "/" + job->options.upload},
                            {"urlhost", "buildkit-session"}};
    grpc::Call call = job->session->connection().open(kUpload, std::move(metadata));
    call.finish_sending();
    for (;;) {
        const auto message = co_await call.read();
        if (!message) break;
        const std::string bytes = decode_text(*message);
        const bool wanted = co_await async::send_all(into, bytes);
        if (!wanted) break;
    }
    job->progress->complete(vertex);
}

/// Sends an archive into the socket to its end.
using SendArchive = std::function<async::Task<>(UniqueFd into)>;

/// `dockerfile` is a name in the context, or empty.
async::Task<ContextPointer> fetch_context(std::shared_ptr<Job> job, SendArchive send,
                                          std::string dockerfile) {
    auto [writer, reader] = linux_os::stream_socket_pair();
    const auto unpacking = std::make_shared<Unpacking>();
    job->tasks.spawn("unpacking a build context",
                     unpack(job, unpacking, std::move(reader), std::move(dockerfile)));
    std::exception_ptr failure;
    try {
        co_await send(std::move(writer));
    } catch (...) {
        failure = std::current_exception();
        job->stop.request_stop();
    }
    co_await unpacking->done.wait();
    if (failure && !async::is_cancellation(failure)) std::rethrow_exception(failure);
    if (unpacking->failure) std::rethrow_exception(unpacking->failure);
    if (failure) std::rethrow_exception(failure);
    co_return unpacking->context;
}
}  // namespace

async::Task<Attributes> read_files(std::shared_ptr<Job> job, std::string directory,
                                   std::vector<std::string> names, Vertex vertex,
                                   std::string transfer) {
    std::string tar;
    SyncRequest request;
    request.directory = std::move(directory);
    request.include = std::move(names);
    TarOutput output = [&tar](std::string bytes) -> async::Task<> {
        tar += bytes;
        if (tar.size() > kMostText) throw Error(ErrorKind::invalid, "the Dockerfile is too large");
        co_return;
    };
    std::int64_t received = 0;
    SyncProgress progress = [&received](std::int64_t bytes) { received = bytes; };
    co_await sync_files(job->session, std::move(request), std::move(output), std::move(progress));
    job->progress->transfer(vertex, transfer, received, 0);
    job->progress->transferred(vertex, transfer);
    archive::MemorySource source(tar);
    archive::TarReader reader(source);
    Attributes files;
    while (const auto entry = reader.next())
        if (entry->type == archive::EntryType::file)
            files[entry->path] = archive::read_to_string(reader, kMostText);
    co_return files;
}

async::Task<ContextPointer> fetch_directory(std::shared_ptr<Job> job, std::string directory,
                                            std::vector<std::string> ignored, std::string title) {
    SyncRequest request;
    request.directory = std::move(directory);
    request.exclude = std::move(ignored);
    SendArchive send = [&](UniqueFd into) {
        return send_directory(job, std::move(request), std::move(title), std::move(into));
    };
    co_return co_await fetch_context(job, std::move(send), "");
}

async::Task<ContextPointer> fetch_upload(std::shared_ptr<Job> job) {
    SendArchive send = [&](UniqueFd into) { return send_upload(job, std::move(into)); };
    const std::string dockerfile = job->options.filename;
    co_return co_await fetch_context(job, std::move(send), dockerfile);
}

}  // namespace berth::buildkit

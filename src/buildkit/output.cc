#include "buildkit/output.h"

#include <nlohmann/json.hpp>

#include "async/fd_wait.h"
#include "buildkit/tree_send.h"
#include "engine/engine.h"
#include "linux/socket_pair.h"

namespace berth::buildkit {

namespace {
constexpr const char* kSend = "/moby.filesync.v1.FileSend/DiffCopy";
constexpr std::size_t kTarPiece = 32U << 10;

/// A container whose root is the image's. It needs a command though none runs.
async::Task<std::string> make_container(engine::Engine& engine, std::string image) {
    const nlohmann::json body{
        {"Image", std::move(image)}, {"Cmd", {"none"}}, {"HostConfig", {{"NetworkMode", "none"}}}};
    engine::CreateOptions options;
    const auto created = co_await engine.containers().create(
        engine::model::CreateRequest::from_json(body), std::move(options));
    co_return created.id;
}

/// The tar of the container's files, written while it is read.
struct Export final {
    async::Event done;
    std::exception_ptr failure;
    std::stop_source stop;
};

async::Task<> write_tar(engine::Engine& engine, std::shared_ptr<Export> state,
                        std::string container, UniqueFd into) {
    try {
        co_await engine.containers().export_root(container, std::move(into),
                                                 state->stop.get_token());
    } catch (...) {
        state->failure = std::current_exception();
    }
    try {
        engine::RemoveOptions options;
        options.force = true;
        options.volumes = true;
        co_await engine.containers().remove(std::move(container), options);
    } catch (...) {
        if (!state->failure) state->failure = std::current_exception();
    }
    state->done.set();
}

async::Task<> send_tar(grpc::Call call, UniqueFd tar) {
    std::string piece(kTarPiece, '\0');
    for (;;) {
        const auto bytes = co_await async::receive_some(tar, piece);
        if (!bytes) throw Error::from_errno(bytes.error(), "reading an exported container");
        if (bytes->empty()) break;
        std::string message = grpc::WireWriter().text(1, *bytes).take();
        co_await call.write(std::move(message));
    }
    call.finish_sending();
    co_await call.read();  // its status
}

async::Task<> send_tree(Service& service, grpc::Call call, UniqueFd tar, std::stop_token stop) {
    const auto tree = co_await service.engine().builder().unpack_context(std::move(tar), "", stop);
    co_await send_files(call, service.file_work(), tree);
}

async::Task<> send_as(Service& service, const std::string& type, grpc::Call call, UniqueFd tar,
                      std::stop_token stop) {
    if (type == "tar")
        co_await send_tar(call, std::move(tar));
    else
        co_await send_tree(service, call, std::move(tar), std::move(stop));
}
}  // namespace

async::Task<> send_output(Service& service, std::shared_ptr<Build> build, std::size_t index,
                          std::string image) {
    const auto session = co_await service.find_session(build->request.session);
    if (!session->serves(kSend)) throw Error(ErrorKind::invalid, "the client takes no files");
    const std::string type = build->request.exporters.at(index).type;
    const Vertex vertex = build->progress->begin(
        "exporting to client " + std::string(type == "tar" ? "tarball" : "directory"));
    std::string container = co_await make_container(service.engine(), std::move(image));
    grpc::Metadata metadata{{"buildkit-attachable-exporter-id", std::to_string(index)}};
    grpc::Call call = session->connection().open(kSend, std::move(metadata));
    auto [reader, writer] = linux_os::stream_socket_pair();
    const auto state = std::make_shared<Export>();
    service.tasks().spawn("build output", write_tar(service.engine(), state, std::move(container),
                                                    std::move(writer)));
    std::exception_ptr failure;
    try {
        co_await send_as(service, type, call, std::move(reader), state->stop.get_token());
    } catch (...) {
        failure = std::current_exception();
        call.reset();
        state->stop.request_stop();
    }
    co_await state->done.wait();
    if (failure) std::rethrow_exception(failure);
    if (state->failure) std::rethrow_exception(state->failure);
    build->progress->complete(vertex);
}

}  // namespace berth::buildkit

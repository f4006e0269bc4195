#include "engine/containers/commit.h"

#include <fmt/ranges.h>

#include "base/log.h"
#include "engine/containers/cgroup.h"
#include "engine/containers/changes.h"
#include "engine/containers/pause.h"
#include "engine/image/derive.h"
#include "engine/image/state.h"
#include "engine/model/merge.h"
#include "image/changes.h"
#include "image/commit.h"

namespace berth::engine {

namespace {

oci::ContainerDefaults defaults_from(const model::ContainerConfig& config) {
    oci::ContainerDefaults defaults{.user = config.user,
                                    .exposed_ports = config.exposed_ports,
                                    .env = config.env,
                                    .entrypoint = config.entrypoint,
                                    .cmd = config.cmd,
                                    .volumes = config.volumes,
                                    .working_dir = config.working_dir,
                                    .labels = config.labels,
                                    .stop_signal = config.stop_signal,
                                    .on_build = config.on_build,
                                    .shell = std::nullopt,
                                    .healthcheck = std::nullopt};
    if (!config.shell.empty()) defaults.shell = config.shell;
    if (const auto& check = config.healthcheck)
        defaults.healthcheck = {.test = check->test,
                                .interval = check->interval_ns,
                                .timeout = check->timeout_ns,
                                .start_period = check->start_period_ns,
                                .start_interval = check->start_interval_ns,
                                .retries = check->retries};
    return defaults;
}

/// What a worker needs to make the image.
struct CommitWork final {
    image::ImageStore& store;
    ChangesWork files;
    Derivation derivation;  // without what is found out of the disk
    std::stop_token stop;

    Digest operator()();

  private:
    void read_base();
};

/// The layers outlive the image as long as a container is made of them.
void CommitWork::read_base() {
    oci::ImageConfig& base = derivation.commit.base;
    try {
        if (derivation.parent) base = store.config(*derivation.parent);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;
        derivation.parent.reset();
    }
    if (derivation.parent) return;
    for (const storage::Layer& layer : layers_up_to(files.storage.layers, files.top))
        base.diff_ids.push_back(layer.diff_id);
}

Digest CommitWork::operator()() {
    read_base();
    derivation.top = files.top;
    const std::vector<storage::Change> changes = files();
    if (!changes.empty())
        derivation.write_layer = [this, &changes](archive::Sink& sink) {
            storage::write_changes(files.rootfs(), changes, sink, stop);
        };
    return derive_image(store, files.storage.layers, std::move(derivation), stop).id;
}

std::optional<image::Reference> reference_of(const CommitRequest& request) {
    if (request.repository.empty()) return std::nullopt;
    const auto reference = image::Reference::parse(request.repository, request.tag);
    if (reference.digest())
        throw Error(ErrorKind::invalid, "refusing to create a tag with a digest reference");
    return reference.with_default_tag();
}

model::ContainerConfig config_for(const Container& container, const CommitRequest& request) {
    const model::ContainerConfig& own = container.record.config;
    return request.config ? model::merge_image(*request.config, own) : own;
}

void check_can_commit(const Container& container) {
    if (container.removing || container.record.state.status == model::Status::removing)
        throw Error(ErrorKind::conflict, "You cannot commit container {} which is being removed",
                    container.id());
    if (container.record.state.status == model::Status::dead)
        throw Error(ErrorKind::conflict, "You cannot commit container {} which is Dead",
                    container.id());
}

/// Without a cgroup nothing can be paused: the image is then of a moment that is not one.
bool can_be_paused(const Container& container) {
    return container.record.state.status == model::Status::running &&
           !cgroup_of(container.record).empty();
}

async::Task<void> run_on(ContainerState& state, ContainerPtr container) {
    try {
        co_await unpause_container(state, container);
    } catch (const Error& error) {
        // It has ended, or somebody else let it run.
        log::debug("container {} after commit: {}", container->id().substr(0, 12), error.message());
    }
}

}  // namespace

async::Task<std::string> commit_container(ContainerState& state, ContainerPtr container,
                                          CommitRequest request, std::stop_token stop) {
    check_can_commit(*container);
    const model::ContainerConfig config = config_for(*container, request);
    CommitWork work{.store = *state.deps.images.store,
                    .files = changes_work(state, *container),
                    .derivation = {},
                    .stop = std::move(stop)};
    Derivation& derivation = work.derivation;
    derivation.reference = reference_of(request);
    if (!container->record.image_id.empty())
        derivation.parent = Digest::parse(container->record.image_id);
    image::Commit& commit = derivation.commit;
    commit.config = image::apply_changes(defaults_from(config), request.changes);
    commit.created_by = fmt::format(
        "{}", fmt::join(container->record.config.cmd.value_or(std::vector<std::string>()), " "));
    commit.author = request.author;
    commit.comment = request.comment;
    const std::string reference = derivation.reference ? derivation.reference->familiar() : "";

    const bool pause = request.pause == CommitPause::yes && can_be_paused(*container);
    if (pause) co_await pause_container(state, container, PausedBy::engine);
    std::optional<Digest> id;
    std::exception_ptr failure;
    try {
        id = co_await state.deps.context.pool.run_on_thread("commit", std::move(work));
    } catch (...) {
        failure = std::current_exception();
    }
    if (pause) co_await run_on(state, container);
    if (failure) std::rethrow_exception(failure);
    state.deps.images.publish(*id, "create", id->str());
    if (!reference.empty()) state.deps.images.publish(*id, "tag", reference);
    state.publish(*container, "commit",
                  {{"comment", request.comment}, {"imageID", id->str()}, {"imageRef", reference}});
    co_return id->str();
}

}  // namespace berth::engine

#include "engine/containers/commit.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "archive/produced_source.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/containers/cgroup.h"
#include "engine/containers/changes.h"
#include "engine/containers/pause.h"
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
    std::optional<Digest> parent;
    std::optional<image::Reference> reference;
    image::Commit commit;  // without what the layer adds
    std::stop_token stop;

    Digest operator()();

  private:
    std::vector<storage::Layer> layers_below() const;
    storage::Layer make_layer(const std::vector<storage::Change>& changes) const;
    void read_base(const std::vector<storage::Layer>& layers);
    Digest add(const std::vector<storage::Layer>& layers) const;
    void drop(const Digest& chain_id) const;
};

/// Lowest first.
std::vector<storage::Layer> CommitWork::layers_below() const {
    std::vector<storage::Layer> layers;
    for (std::optional<Digest> next = files.top; next;) {
        auto layer = files.storage.layers.find(*next);
        if (!layer) throw Error(ErrorKind::not_found, "no such layer: {}", next->str());
        next = layer->parent;
        layers.push_back(*std::move(layer));
    }
    std::ranges::reverse(layers);
    return layers;
}

/// The layers outlive the image as long as a container is made of them.
void CommitWork::read_base(const std::vector<storage::Layer>& layers) {
    try {
        if (parent) commit.base = store.config(*parent);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;
        parent.reset();
    }
    if (parent) return;
    for (const storage::Layer& layer : layers) commit.base.diff_ids.push_back(layer.diff_id);
}

storage::Layer CommitWork::make_layer(const std::vector<storage::Change>& changes) const {
    archive::ProducedSource tar([this, &changes](archive::Sink& sink) {
        storage::write_changes(files.rootfs(), changes, sink, stop);
    });
    storage::ApplyRequest request;
    request.parent = files.top;
    return files.storage.layers.apply(request, tar, stop);
}

Digest CommitWork::add(const std::vector<storage::Layer>& layers) const {
    image::NewImage image;
    image.config = dump_json(oci::to_json(image::committed_config(commit, Timestamp::now())));
    for (const storage::Layer& layer : layers) image.layers.push_back({layer.chain_id, layer.size});
    image.parent = parent;
    if (reference) image.references = {*reference};
    return store.add(image).id;
}

/// Unless an image has it after all.
void CommitWork::drop(const Digest& chain_id) const {
    const image::UnusedLayers unused = store.unused_of({chain_id});
    for (const Digest& layer : unused.chain_ids()) files.storage.layers.remove(layer);
}

Digest CommitWork::operator()() {
    std::vector<storage::Layer> layers = layers_below();
    std::vector<Digest> below;
    for (const storage::Layer& layer : layers) below.push_back(layer.chain_id);
    const image::LayerLease lease = store.lease(below);
    read_base(layers);
    const std::vector<storage::Change> changes = files();
    if (changes.empty()) return add(layers);
    if (layers.size() == oci::kMaxLayers)
        throw Error(ErrorKind::invalid, "max depth exceeded: an image has at most {} layers",
                    oci::kMaxLayers);
    for (;;) {
        const storage::Layer layer = make_layer(changes);
        std::optional<image::LayerLease> mine(store.lease({layer.chain_id}));
        // The very same layer was another image's, and went with it meanwhile.
        if (!files.storage.layers.find(layer.chain_id)) continue;
        commit.diff_id = layer.diff_id;
        layers.push_back(layer);
        try {
            return add(layers);
        } catch (...) {
            mine.reset();
            drop(layer.chain_id);
            throw;
        }
    }
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
                    .parent = std::nullopt,
                    .reference = reference_of(request),
                    .commit = {},
                    .stop = std::move(stop)};
    if (!container->record.image_id.empty())
        work.parent = Digest::parse(container->record.image_id);
    work.commit.config = image::apply_changes(defaults_from(config), request.changes);
    work.commit.created_by = fmt::format(
        "{}", fmt::join(container->record.config.cmd.value_or(std::vector<std::string>()), " "));
    work.commit.author = request.author;
    work.commit.comment = request.comment;
    const std::string reference = work.reference ? work.reference->familiar() : "";

    const bool pause = request.pause == CommitPause::yes && can_be_paused(*container);
    if (pause) co_await pause_container(state, container);
    std::optional<Digest> id;
    std::exception_ptr failure;
    try {
        id = co_await state.deps.context.pool.run_on_thread("commit", std::move(work));
    } catch (...) {
        failure = std::current_exception();
    }
    if (pause) co_await run_on(state, container);
    if (failure) std::rethrow_exception(failure);
    state.publish(*container, "commit",
                  {{"comment", request.comment}, {"imageID", id->str()}, {"imageRef", reference}});
    co_return id->str();
}

}  // namespace berth::engine

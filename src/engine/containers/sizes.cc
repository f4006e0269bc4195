#include "engine/containers/sizes.h"

#include <fcntl.h>

#include "base/file.h"
#include "engine/image/state.h"
#include "storage/copy_tree.h"

namespace berth::engine {

namespace {

/// What the image store knows of the layers below; nothing when the image is gone.
std::optional<std::int64_t> image_size(const ContainerState& state, const std::string& image_id) {
    try {
        return state.deps.images.store->resolve(image_id).size();
    } catch (const Error&) {
        return std::nullopt;
    }
}

struct SizeWork final {
    struct One final {
        std::string directory;
        std::string top_layer;
        std::optional<std::int64_t> image;
    };
    const Storage& storage;
    std::vector<One> containers;

    std::vector<Sizes> operator()() const {
        std::vector<Sizes> all;
        for (const One& one : containers) all.push_back(measure(one));
        return all;
    }

  private:
    std::int64_t layers_size(const std::string& top) const {
        std::int64_t size = 0;
        if (top.empty()) return size;
        for (const std::string& layer : storage.layers.directories(Digest::parse(top)))
            size += storage::tree_size(open_file(layer, O_RDONLY | O_DIRECTORY));
        return size;
    }

    Sizes measure(const One& one) const {
        Sizes sizes;
        sizes.writable = storage::writable_size(storage.driver.kind, one.directory);
        const bool copied = storage.driver.kind == storage::DriverKind::copy && sizes.writable > 0;
        sizes.root = sizes.writable;
        if (!copied) sizes.root += one.image ? *one.image : layers_size(one.top_layer);
        return sizes;
    }
};

}  // namespace

async::Task<std::vector<Sizes>> sizes_of(ContainerState& state,
                                         std::vector<ContainerPtr> containers) {
    SizeWork work{state.deps.context.storage, {}};
    for (const ContainerPtr& container : containers)
        work.containers.push_back({state.directory(container->id()), container->record.top_layer,
                                   image_size(state, container->record.image_id)});
    co_return co_await state.deps.context.pool.run(std::move(work));
}

async::Task<Sizes> sizes_of(ContainerState& state, ContainerPtr container) {
    std::vector<ContainerPtr> one;
    one.push_back(std::move(container));
    const std::vector<Sizes> sizes = co_await sizes_of(state, std::move(one));
    co_return sizes.front();
}

}  // namespace berth::engine

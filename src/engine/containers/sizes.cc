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

}  // namespace

async::Task<Sizes> sizes_of(ContainerState& state, ContainerPtr container) {
    const std::string directory = state.directory(container->id());
    const std::string top = container->record.top_layer;
    const auto below = image_size(state, container->record.image_id);
    const Storage& storage = state.deps.context.storage;
    auto job = [directory, top, below, &storage] {
        std::optional<Digest> chain;
        if (!top.empty()) chain = Digest::parse(top);
        const storage::RootfsMount rootfs =
            storage::prepare_rootfs(storage.driver, storage.layers, directory, chain);
        Sizes sizes;
        sizes.writable = sizes.root = storage::writable_size(rootfs);
        if (rootfs.kind == storage::DriverKind::copy) return sizes;
        if (below) {
            sizes.root += *below;
            return sizes;
        }
        for (const std::string& layer : rootfs.lowerdirs)
            sizes.root += storage::tree_size(open_file(layer, O_RDONLY | O_DIRECTORY));
        return sizes;
    };
    co_return co_await state.deps.context.pool.run(std::move(job));
}

}  // namespace berth::engine

#include "image/import.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "archive/compression.h"
#include "archive/digester.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "image/layer_batch.h"
#include "image/layer_claims.h"
#include "image/platform.h"
#include "image/progress_log.h"
#include "linux/filesystem.h"

namespace berth::image {
namespace {

struct SpooledTar final {
    UniqueFd file;
    Digest diff_id;
};

/// The layer's name is the digest of the whole tar, so all of it has to be here first.
SpooledTar spool(const ImageStore& store, archive::Source& tar, std::stop_token stop) {
    UniqueFd file = store.make_temporary();
    const std::unique_ptr<archive::Source> plain = archive::decompress(tar, store.expansion());
    archive::DigestSource digested(*plain);
    linux_os::SpaceGuard space(file);
    archive::CallbackSink sink([&](std::string_view bytes) {
        if (stop.stop_requested()) throw Error(ErrorKind::cancelled, "the import was cancelled");
        space.take(bytes.size());
        write_all(file, bytes);
    });
    archive::copy(digested, sink);
    if (::lseek(file.get(), 0, SEEK_SET) < 0) throw_errno("rewinding the imported tar");
    return {std::move(file), digested.digest()};
}

oci::ImageConfig make_config(const ImportRequest& request, const Digest& diff_id) {
    oci::ImageConfig config;
    config.created = Timestamp::now();
    config.comment = request.message.empty() ? "Imported from " + request.source : request.message;
    config.platform = parse_platform(request.platform);
    config.config = apply_changes({}, request.changes);
    config.diff_ids = {diff_id};
    config.history = {{.created = config.created,
                       .created_by = "",
                       .author = "",
                       .comment = config.comment,
                       .empty_layer = false}};
    return config;
}

}  // namespace

Digest import_image(ImageStore& store, LayerSink& sink, archive::Source& tar,
                    const ImportRequest& request, const ProgressCallback& progress,
                    std::stop_token stop) {
    if (request.reference && request.reference->name() == "docker.io/library/scratch")
        throw Error(ErrorKind::internal, "'scratch' is a reserved name");
    if (request.reference && request.reference->digest())
        throw Error(ErrorKind::invalid, "cannot import digest reference");
    // Bad instructions and a bad platform are told before anything is read.
    static_cast<void>(apply_changes({}, request.changes));
    static_cast<void>(parse_platform(request.platform));

    const SpooledTar spooled = spool(store, tar, stop);
    LayerBatch batch(store, sink, {spooled.diff_id});
    NewImage image;
    {
        const LayerClaim claim = store.layer_claims().claim(batch.chain_id(0), stop);
        archive::FdSource source(spooled.file);
        auto layer = batch.find(0);
        image.layers = {layer ? *std::move(layer) : batch.apply(0, source, stop)};
    }
    image.config = dump_json(oci::to_json(make_config(request, spooled.diff_id)));
    if (request.reference) image.references = {request.reference->with_default_tag()};
    const AddedImage added = store.add(image);
    batch.keep();
    ProgressLog(progress).status(added.id.str());
    return added.id;
}

}  // namespace berth::image

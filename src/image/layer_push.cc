#include "image/layer_push.h"

#include <algorithm>
#include <set>
#include <thread>

#include "archive/compression.h"
#include "archive/digester.h"
#include "archive/read_ahead.h"
#include "base/error.h"
#include "image/retry.h"

namespace berth::image {
namespace {

// What Docker asks for at most before it uploads.
constexpr int kMaxMounts = 4;
constexpr std::string_view kGzipLayer = "application/vnd.docker.image.rootfs.diff.tar.gzip";

}  // namespace

LayerPush::LayerPush(RegistryWriter& writer, LayerArchives& archives, const Reference& target,
                     const RegistrySettings& settings, ProgressLog& progress)
    : writer_(writer),
      archives_(archives),
      target_(target),
      settings_(settings),
      progress_(progress) {}

void LayerPush::announce() const {
    for (const PushLayer* layer : jobs_) progress_.layer(layer->diff_id.short_hex(), "Preparing");
    for (std::size_t i = static_cast<std::size_t>(settings_.parallel_uploads); i < jobs_.size();
         ++i)
        progress_.layer(jobs_[i]->diff_id.short_hex(), "Waiting");
}

std::vector<oci::Descriptor> LayerPush::run(const std::vector<PushLayer>& layers,
                                            std::stop_token stop) {
    const std::stop_callback forward(stop, [this] { stop_.request_stop(); });
    std::set<Digest> seen;
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer)
        if (seen.insert(layer->diff_id).second) jobs_.push_back(&*layer);
    announce();
    {
        std::vector<std::jthread> threads;
        const std::size_t count =
            std::min(jobs_.size(), static_cast<std::size_t>(settings_.parallel_uploads));
        for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { push_jobs(); });
    }
    if (stop.stop_requested()) throw Error(ErrorKind::cancelled, "the push was cancelled");
    if (failure_) std::rethrow_exception(failure_);
    std::vector<oci::Descriptor> result;
    for (const PushLayer& layer : layers) result.push_back(done_.at(layer.diff_id));
    return result;
}

void LayerPush::push_jobs() {
    try {
        while (!stop_.stop_requested()) {
            const PushLayer* layer = nullptr;
            {
                const std::lock_guard lock(mutex_);
                if (next_ == jobs_.size()) return;
                layer = jobs_[next_++];
            }
            oci::Descriptor blob = push(*layer);
            const std::lock_guard lock(mutex_);
            done_.emplace(layer->diff_id, std::move(blob));
        }
    } catch (...) {
        {
            const std::lock_guard lock(mutex_);
            if (!failure_) failure_ = std::current_exception();
        }
        stop_.request_stop();
    }
}

oci::Descriptor LayerPush::push(const PushLayer& layer) {
    const std::string id = layer.diff_id.short_hex();
    if (const BlobRecord* found = find_at_target(layer)) {
        progress_.layer(id, "Layer already exists");
        return found->blob;
    }
    if (const BlobRecord* mounted = mount(layer, id)) return mounted->blob;
    oci::Descriptor blob = upload_with_retries(layer, id);
    progress_.layer(id, "Pushed");
    return blob;
}

const BlobRecord* LayerPush::find_at_target(const PushLayer& layer) {
    for (const BlobRecord& record : layer.known)
        if (writer_.has_blob(record.blob.digest, stop_.get_token())) return &record;
    return nullptr;
}

const BlobRecord* LayerPush::mount(const PushLayer& layer, const std::string& id) {
    const std::string here = target_.domain() + "/";
    int attempts = 0;
    for (const BlobRecord& record : layer.known) {
        for (const std::string& repository : record.repositories) {
            if (!repository.starts_with(here) || repository == target_.name()) continue;
            if (++attempts > kMaxMounts) return nullptr;
            const std::string from = repository.substr(here.size());
            try {
                if (!writer_.mount(record.blob.digest, from, stop_.get_token())) continue;
            } catch (const Error& error) {
                // No right to read it there, say: then the layer is uploaded.
                if (error.kind() == ErrorKind::cancelled) throw;
                continue;
            }
            progress_.layer(id, "Mounted from " + from);
            return &record;
        }
    }
    return nullptr;
}

oci::Descriptor LayerPush::upload_with_retries(const PushLayer& layer, const std::string& id) {
    for (int attempt = 1;; ++attempt) {
        try {
            return upload(layer, id);
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::unavailable || attempt >= settings_.upload_attempts)
                throw;
        }
        pause_before_retry(progress_, id, settings_.retry_step * attempt, stop_.get_token());
    }
}

oci::Descriptor LayerPush::upload(const PushLayer& layer, const std::string& id) {
    const LayerArchive stored = archives_.open(layer.chain_id);
    archive::DigestSource tar(*stored.tar);
    Pace pace;
    archive::CallbackSource counted([&](std::span<char> buffer) {
        const std::size_t count = tar.read(buffer);
        if (pace.due())
            progress_.bytes(id, "Pushing", {static_cast<std::int64_t>(tar.size()), stored.size});
        return count;
    });
    const auto packer = archive::compress_gzip(counted);
    archive::DigestSource packed(*packer);
    archive::ReadAheadSource ahead(packed);  // packs while libcurl sends
    const UploadLocation begun = writer_.begin_upload(stop_.get_token());
    const UploadLocation sent = writer_.send(
        begun, [&ahead](std::span<char> into) { return ahead.read(into); }, stop_.get_token());
    if (const Digest found = tar.digest(); found != layer.diff_id)
        throw Error(ErrorKind::internal,
                    "the files of layer {} were changed: its archive would have the digest {}",
                    layer.diff_id.str(), found.str());
    const Digest digest = packed.digest();
    writer_.commit(sent, digest, stop_.get_token());
    return {.media_type = std::string(kGzipLayer),
            .digest = digest,
            .size = static_cast<std::int64_t>(packed.size()),
            .platform = {},
            .annotations = {}};
}

}  // namespace berth::image

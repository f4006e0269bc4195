#include "image/layer_batch.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "base/error.h"

namespace berth::image {
namespace {

// Each has a thread beside it that inflates and hashes.
std::size_t staging_threads() {
    return std::clamp<std::size_t>(std::thread::hardware_concurrency(), 2, 4);
}

/// Of several threads.
class FirstFailure final {
  public:
    void record(std::exception_ptr failure) {
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::move(failure);
    }
    void rethrow() const {
        if (failure_) std::rethrow_exception(failure_);
    }

  private:
    std::mutex mutex_;
    std::exception_ptr failure_;
};

}  // namespace

LayerBatch::LayerBatch(ImageStore& store, LayerSink& sink, std::vector<Digest> diff_ids)
    : store_(store),
      sink_(sink),
      diff_ids_(std::move(diff_ids)),
      chain_ids_(chain_ids(diff_ids_)),
      lease_(store.lease(chain_ids_)),
      slots_(diff_ids_.size()) {}

LayerBatch::~LayerBatch() {
    lease_.reset();
    if (kept_ || applied_.empty()) return;
    try {
        std::ranges::reverse(applied_);
        const UnusedLayers unused = store_.unused_of(applied_);
        for (const Digest& chain_id : unused.chain_ids()) sink_.remove(chain_id);
    } catch (const std::exception&) {
        // A layer that nothing names is collected when the engine starts the next time.
    }
}

std::optional<StoredLayer> LayerBatch::find(std::size_t index) const {
    return sink_.find(chain_ids_.at(index));
}

void LayerBatch::found(std::size_t index, StoredLayer layer) {
    const std::lock_guard lock(mutex_);
    slots_.at(index).stored = std::move(layer);
    changed_.notify_all();
}

void LayerBatch::adopt(std::size_t index, std::unique_ptr<StagedLayer> layer) {
    const std::lock_guard lock(mutex_);
    slots_.at(index).staged = std::move(layer);
    changed_.notify_all();
}

void LayerBatch::stage(std::size_t index, archive::Source& tar, const std::stop_token& stop) {
    StageRequest request{.lower = {}, .diff_id = diff_ids_.at(index)};
    if (index > 0) request.lower = lower_of(index, stop);
    try {
        adopt(index, sink_.stage(request, tar, stop));
    } catch (Error& error) {
        if (error.kind() == ErrorKind::cancelled) throw;
        throw error.while_("layer {}", diff_ids_.at(index).short_hex());
    }
}

LowerLayers LayerBatch::lower_of(std::size_t index, std::stop_token stop) {
    return [this, index, stop = std::move(stop)] { return open_lower(index, stop); };
}

std::vector<UniqueFd> LayerBatch::open_lower(std::size_t index, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    const auto all_ready = [&] {
        return std::all_of(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(index),
                           [](const Slot& slot) { return slot.ready(); });
    };
    if (!changed_.wait(lock, stop, all_ready))
        throw Error(ErrorKind::cancelled, "waiting for the layers below was cancelled");
    std::vector<UniqueFd> files;
    while (index > 0 && slots_[index - 1].staged) files.push_back(slots_[--index].staged->files());
    if (index > 0)
        for (UniqueFd& stored : sink_.open_files(chain_ids_[index - 1]))
            files.push_back(std::move(stored));
    return files;
}

std::vector<std::size_t> LayerBatch::commit_ready(const std::stop_token& stop) {
    std::vector<std::size_t> indexes;
    std::vector<StagedLayer*> staged;
    {
        std::unique_lock lock(mutex_);
        const auto in_place = [](const Slot& slot) { return slot.stored.has_value(); };
        auto next = slots_.begin();
        const auto is_ready = [&] {
            next = std::find_if_not(next, slots_.end(), in_place);
            return next == slots_.end() || next->staged;
        };
        if (!changed_.wait(lock, stop, is_ready))
            throw Error(ErrorKind::cancelled, "waiting for the layers was cancelled");
        for (; next != slots_.end() && !next->stored && next->staged; ++next) {
            indexes.push_back(static_cast<std::size_t>(next - slots_.begin()));
            staged.push_back(next->staged.get());
        }
    }
    if (staged.empty()) return indexes;
    std::optional<Digest> parent;
    if (indexes.front() > 0) parent = chain_ids_[indexes.front() - 1];
    const std::vector<StoredLayer> layers = sink_.commit(parent, staged);
    const std::lock_guard lock(mutex_);
    for (std::size_t at = 0; at < indexes.size(); ++at) {
        slots_[indexes[at]].stored = layers.at(at);
        slots_[indexes[at]].staged.reset();
        applied_.push_back(layers.at(at).chain_id);
    }
    return indexes;
}

std::vector<StoredLayer> LayerBatch::place_all(std::stop_source stop, const OnLayer& stage,
                                               const OnLayer& placed) {
    std::atomic<std::size_t> next = 0;
    FirstFailure failure;
    const auto fail = [&] {
        failure.record(std::current_exception());
        stop.request_stop();
    };
    const auto work = [&] {
        try {
            for (std::size_t index = next++; index < count() && !stop.stop_requested();
                 index = next++)
                stage(index);
        } catch (...) {
            fail();
        }
    };
    try {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < std::min(count(), staging_threads()); ++i)
            threads.emplace_back(work);
        try {
            for (auto done = commit_ready(stop.get_token()); !done.empty();
                 done = commit_ready(stop.get_token()))
                for (const std::size_t index : done) placed(index);
        } catch (...) {
            fail();
        }
    } catch (...) {  // a thread could not be started; those that were have ended
        fail();
    }
    failure.rethrow();
    std::vector<StoredLayer> layers;
    for (const Slot& slot : slots_) layers.push_back(slot.stored.value());
    return layers;
}

StoredLayer LayerBatch::apply(std::size_t index, archive::Source& tar,
                              const std::stop_token& stop) {
    stage(index, tar, stop);
    commit_ready(stop);
    const std::lock_guard lock(mutex_);
    return slots_[index].stored.value();
}

}  // namespace berth::image

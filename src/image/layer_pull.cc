#include "image/layer_pull.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "image/layer_claims.h"
#include "image/layer_download.h"
#include "image/retry.h"

namespace berth::image {
struct LayerJob final {
    LayerJob(std::size_t position, oci::Descriptor layer)
        : index(position), descriptor(std::move(layer)), id(descriptor.digest.short_hex()) {}

    const std::size_t index;
    const oci::Descriptor descriptor;
    const std::string id;
    std::optional<LayerClaim> claim;

    std::mutex mutex;  // guards what follows, until one of them is set
    std::condition_variable_any changed;
    // Shared: the download thread may still be in finish() when the other is done with it.
    std::shared_ptr<LayerDownload> download;
    std::optional<StoredLayer> existing;

    void begin(std::shared_ptr<LayerDownload> started) {
        const std::lock_guard lock(mutex);
        download = std::move(started);
        changed.notify_all();
    }
    void found(StoredLayer layer) {
        const std::lock_guard lock(mutex);
        existing = std::move(layer);
        changed.notify_all();
    }
    void wait(std::stop_token stop) {
        std::unique_lock lock(mutex);
        if (!changed.wait(lock, stop, [this] { return download || existing; }))
            throw Error(ErrorKind::cancelled, "the pull was cancelled");
    }
};

LayerPull::LayerPull(RegistryClient& client, ImageStore& store, LayerBatch& batch,
                     const std::vector<oci::Descriptor>& layers, const RegistrySettings& settings,
                     ProgressLog& progress)
    : client_(client), store_(store), batch_(batch), settings_(settings), progress_(progress) {
    for (const oci::Descriptor& layer : layers)
        jobs_.push_back(std::make_unique<LayerJob>(jobs_.size(), layer));
}

LayerPull::~LayerPull() = default;

void LayerPull::record_failure(std::exception_ptr failure) {
    {
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::move(failure);
    }
    stop_.request_stop();
}

void LayerPull::announce() {
    int missing = 0;
    std::vector<const LayerJob*> waiting;
    for (const auto& job : jobs_) {
        if (auto layer = batch_.find(job->index)) {
            job->found(*std::move(layer));
            progress_.layer(job->id, "Already exists");
            continue;
        }
        progress_.layer(job->id, "Pulling fs layer");
        if (++missing > settings_.parallel_downloads) waiting.push_back(job.get());
    }
    for (const LayerJob* job : waiting) progress_.layer(job->id, "Waiting");
}

void LayerPull::fetch_with_retries(const LayerJob& job, LayerDownload& download) {
    Pace pace;
    const auto take = [&](std::int64_t position, std::string_view bytes) {
        download.append(position, bytes);
        if (pace.due())
            progress_.bytes(job.id, "Downloading", {download.size(), job.descriptor.size});
    };
    for (int attempt = 1;; ++attempt) {
        try {
            client_.blob(job.descriptor.digest, download.size(), take, stop_.get_token());
            return;
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::unavailable || attempt >= settings_.download_attempts)
                throw;
        }
        pause_before_retry(progress_, job.id, settings_.retry_step * attempt, stop_.get_token());
    }
}

void LayerPull::download(LayerJob& job) {
    job.claim.emplace(store_.layer_claims().claim(batch_.chain_id(job.index), stop_.get_token()));
    if (auto layer = batch_.find(job.index)) {  // another pull was faster
        job.claim.reset();
        progress_.layer(job.id, "Already exists");
        job.found(*std::move(layer));
        return;
    }
    const auto download = std::make_shared<LayerDownload>(store_.make_temporary(), job.descriptor);
    job.begin(download);
    fetch_with_retries(job, *download);
    progress_.layer(job.id, "Verifying Checksum");
    download->verify();
    progress_.layer(job.id, "Download complete");
    download->finish();
}

void LayerPull::download_jobs() {
    try {
        while (!stop_.stop_requested()) {
            LayerJob* job = nullptr;
            {
                const std::lock_guard lock(mutex_);
                while (next_ < jobs_.size() && jobs_[next_]->existing) ++next_;
                if (next_ == jobs_.size()) return;
                job = jobs_[next_++].get();
            }
            download(*job);
        }
    } catch (...) {
        // Who asked for the stop knows why.
        if (!stop_.stop_requested()) record_failure(std::current_exception());
    }
}

void LayerPull::unpack(LayerJob& job) {
    job.wait(stop_.get_token());
    if (job.existing) return batch_.found(job.index, *job.existing);
    Pace pace;
    const auto show = [&](std::int64_t position) {
        if (job.download->finished() && pace.due())
            progress_.bytes(job.id, "Extracting", {position, job.descriptor.size});
    };
    DownloadedTar tar(*job.download, store_.expansion(), stop_.get_token(), show);
    batch_.stage(job.index, tar, stop_.get_token());
    // Before the flush, which would write what is only to be thrown away.
    job.download.reset();
}

void LayerPull::finish(LayerJob& job) {
    job.claim.reset();
    progress_.bytes(job.id, "Extracting", {job.descriptor.size, job.descriptor.size});
    progress_.layer(job.id, "Pull complete");
}

std::vector<StoredLayer> LayerPull::run(std::stop_token stop) {
    const std::stop_callback forward(stop, [this] { stop_.request_stop(); });
    announce();
    const auto missing =
        std::ranges::count_if(jobs_, [](const auto& job) { return !job->existing; });
    std::vector<std::jthread> threads;
    std::vector<StoredLayer> layers;
    try {
        for (long i = 0; i < std::min<long>(missing, settings_.parallel_downloads); ++i)
            threads.emplace_back([this] { download_jobs(); });
        layers = batch_.place_all(
            stop_, [this](std::size_t index) { unpack(*jobs_[index]); },
            [this](std::size_t index) { finish(*jobs_[index]); });
    } catch (...) {
        record_failure(std::current_exception());
    }
    threads.clear();
    if (stop.stop_requested()) throw Error(ErrorKind::cancelled, "the pull was cancelled");
    if (failure_) std::rethrow_exception(failure_);
    return layers;
}

}  // namespace berth::image

// Fetches and unpacks the layers of one image: download threads (three, as Docker) fetch into
// nameless files, unpacking threads read behind the downloads, the calling thread puts the layers
// in place from the lowest up.
//
// Per layer: "Pulling fs layer" or "Already exists" | claim | Downloading… | Verifying Checksum |
// Download complete | Extracting… | Pull complete.
#pragma once

#include <exception>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

#include "image/layer_batch.h"
#include "image/progress_log.h"
#include "image/registry.h"
#include "image/registry_settings.h"

namespace berth::image {

struct LayerJob;
class LayerDownload;

class LayerPull final {
  public:
    /// Borrows all of them for its life. `layers` matches the batch one to one.
    LayerPull(RegistryClient& client, ImageStore& store, LayerBatch& batch,
              const std::vector<oci::Descriptor>& layers, const RegistrySettings& settings,
              ProgressLog& progress);
    ~LayerPull();
    /// The layers, lowest first. Throws the first failure of any thread.
    std::vector<StoredLayer> run(std::stop_token stop);

  private:
    void announce();
    void download_jobs();
    void download(LayerJob& job);
    void fetch_with_retries(const LayerJob& job, LayerDownload& download);
    void unpack(LayerJob& job);
    void finish(LayerJob& job);
    void record_failure(std::exception_ptr failure);

    RegistryClient& client_;
    ImageStore& store_;
    LayerBatch& batch_;
    const RegistrySettings& settings_;
    ProgressLog& progress_;
    std::stop_source stop_;
    std::vector<std::unique_ptr<LayerJob>> jobs_;

    std::mutex mutex_;  // guards what follows
    std::size_t next_ = 0;
    std::exception_ptr failure_;
};

}  // namespace berth::image

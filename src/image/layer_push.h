// Brings the layers of one image to a registry, several at a time. Per layer: "Preparing" |
// "Layer already exists", "Mounted from X", or Pushing… | Pushed. Compressed layers are not kept
// here: what the registry lacks is packed anew while it is sent.
#pragma once

#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

#include "image/blob_records.h"
#include "image/layer_archives.h"
#include "image/progress_log.h"
#include "image/registry_settings.h"
#include "image/registry_writer.h"

namespace berth::image {

struct PushLayer final {
    Digest chain_id;
    Digest diff_id;
    std::vector<BlobRecord> known;  // blobs that it may be at the registry, the best first
};

class LayerPush final {
  public:
    /// Borrows all of them for its life.
    LayerPush(RegistryWriter& writer, LayerArchives& archives, const Reference& target,
              const RegistrySettings& settings, ProgressLog& progress);
    /// The blobs that the layers are in the target repository now, lowest first, as `layers` are.
    /// Throws the first failure of any thread.
    std::vector<oci::Descriptor> run(const std::vector<PushLayer>& layers, std::stop_token stop);

  private:
    void announce() const;
    void push_jobs();
    oci::Descriptor push(const PushLayer& layer);
    const BlobRecord* find_at_target(const PushLayer& layer);
    const BlobRecord* mount(const PushLayer& layer, const std::string& id);
    oci::Descriptor upload_with_retries(const PushLayer& layer, const std::string& id);
    oci::Descriptor upload(const PushLayer& layer, const std::string& id);

    RegistryWriter& writer_;
    LayerArchives& archives_;
    const Reference& target_;
    const RegistrySettings& settings_;
    ProgressLog& progress_;
    std::stop_source stop_;
    std::vector<const PushLayer*> jobs_;  // each content once, the top first as Docker does

    std::mutex mutex_;  // guards what follows
    std::size_t next_ = 0;
    std::map<Digest, oci::Descriptor> done_;  // by diff id
    std::exception_ptr failure_;
};

}  // namespace berth::image

// What is known of layers at registries: which compressed blobs a layer (by diff id) is there, and
// which repositories have them. Learnt from pulls and pushes, so that a push finds blobs instead of
// uploading them again. Hints only: every push asks the registry. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/digest.h"
#include "image/reference.h"
#include "oci/image_spec.h"

namespace berth::image {

struct BlobRecord final {
    oci::Descriptor blob;
    std::vector<std::string> repositories;  // "docker.io/library/alpine"; newest last
};

class BlobRecords final {
  public:
    /// A missing or damaged file reads as no records.
    explicit BlobRecords(std::string path);

    /// Newest last.
    std::vector<BlobRecord> of(const Digest& diff_id) const;
    /// Layer by layer: diff_ids[i] is blobs[i] in `repository`. Writes the file when that is news.
    void add(const std::vector<Digest>& diff_ids, const std::vector<oci::Descriptor>& blobs,
             const Reference& repository);

  private:
    using Records = std::map<Digest, std::vector<BlobRecord>>;
    static Records read(const std::string& path);
    void write() const;

    const std::string path_;
    mutable std::mutex mutex_;  // guards records_ and the file
    Records records_;
};

}  // namespace berth::image

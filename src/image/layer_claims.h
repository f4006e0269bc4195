// Which layers are on their way, so that two pulls or loads never fetch and unpack the same one:
// the second waits and then finds it at the sink. Thread-safe.
//
// No deadlock: claims are taken lowest layer first, and chain ids that two images share are always
// the lowest of both, so the holder of the lowest open claim never waits for anybody.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <utility>

#include "base/digest.h"

namespace berth::image {

class LayerClaims;

class LayerClaim final {
  public:
    LayerClaim(LayerClaims& claims, Digest chain_id)
        : claims_(&claims), chain_id_(std::move(chain_id)) {}
    LayerClaim(LayerClaim&& other) noexcept
        : claims_(std::exchange(other.claims_, nullptr)), chain_id_(std::move(other.chain_id_)) {}
    LayerClaim& operator=(LayerClaim&&) = delete;
    ~LayerClaim();

  private:
    LayerClaims* claims_;
    Digest chain_id_;
};

class LayerClaims final {
  public:
    /// Waits until nobody else holds it. Throws Error{cancelled}.
    LayerClaim claim(const Digest& chain_id, std::stop_token stop);

  private:
    friend class LayerClaim;
    void release(const Digest& chain_id);

    std::mutex mutex_;  // guards held_
    std::condition_variable_any changed_;
    std::set<Digest> held_;
};

}  // namespace berth::image

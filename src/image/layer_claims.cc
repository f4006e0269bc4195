#include "image/layer_claims.h"

#include "base/error.h"

namespace berth::image {

LayerClaim::~LayerClaim() {
    if (claims_ != nullptr) claims_->release(chain_id_);
}

LayerClaim LayerClaims::claim(const Digest& chain_id, std::stop_token stop) {
    std::unique_lock lock(mutex_);
    const bool is_free = changed_.wait(lock, stop, [&] { return !held_.contains(chain_id); });
    if (!is_free) throw Error(ErrorKind::cancelled, "waiting for a layer was cancelled");
    held_.insert(chain_id);
    return LayerClaim(*this, chain_id);
}

void LayerClaims::release(const Digest& chain_id) {
    const std::lock_guard lock(mutex_);
    held_.erase(chain_id);
    changed_.notify_all();
}

}  // namespace berth::image

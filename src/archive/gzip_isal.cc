// Gzip through ISA-L: about a third of zlib's CPU time.
#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <string>
#include <vector>

#include "archive/compression.h"
#include "archive/decoders.h"
#include "base/error.h"

namespace berth::archive {
namespace {

class GzipDecoder final : public Source {
  public:
    explicit GzipDecoder(Source& below)
        : below_(below), input_(kBlockSize, '\0'), state_(std::make_unique<inflate_state>()) {
        isal_inflate_init(state_.get());
        state_->crc_flag = ISAL_GZIP;
    }

    std::size_t read(std::span<char> buffer) override {
        const auto room = static_cast<std::uint32_t>(std::min(buffer.size(), kBlockSize));
        state_->next_out = reinterpret_cast<std::uint8_t*>(buffer.data());
        state_->avail_out = room;
        while (state_->avail_out == room && !ended_) step();
        return room - state_->avail_out;
    }

  private:
    void step() {
        if (state_->avail_in == 0 && !input_ended_) refill();
        if (state_->block_state == ISAL_BLOCK_FINISH) return next_member();
        const std::uint32_t in_before = state_->avail_in;
        const std::uint32_t out_before = state_->avail_out;
        const int result = isal_inflate(state_.get());
        if (result != ISAL_DECOMP_OK && result != ISAL_END_INPUT && result != ISAL_OUT_OVERFLOW)
            throw Error(ErrorKind::invalid, "gzip stream is corrupt (code {})", result);
        const bool progress = in_before != state_->avail_in || out_before != state_->avail_out;
        if (!progress && input_ended_ && state_->block_state != ISAL_BLOCK_FINISH)
            throw Error(ErrorKind::invalid, "gzip stream is truncated");
    }

    // pigz and estargz write several members; zero padding and other trailing bytes are ignored, as
    // gzip(1) does.
    void next_member() {
        if (state_->avail_in == 0 || *state_->next_in != 0x1f) {
            ended_ = true;
            return;
        }
        isal_inflate_reset(state_.get());
        state_->crc_flag = ISAL_GZIP;
    }

    void refill() {
        state_->next_in = reinterpret_cast<std::uint8_t*>(input_.data());
        state_->avail_in = static_cast<std::uint32_t>(below_.read(input_));
        input_ended_ = state_->avail_in == 0;
    }

    Source& below_;
    std::string input_;
    std::unique_ptr<inflate_state> state_;
    bool input_ended_ = false;
    bool ended_ = false;
};

}  // namespace

struct GzipSink::State final {
    explicit State(Sink& sink)
        : below(sink), output(kBlockSize, '\0'), work(ISAL_DEF_LVL3_DEFAULT) {
        isal_deflate_init(&stream);
        stream.gzip_flag = IGZIP_GZIP;
        stream.level = 3;
        stream.level_buf = work.data();
        stream.level_buf_size = static_cast<std::uint32_t>(work.size());
    }

    /// Takes all of the bytes and empties the output.
    void run(std::string_view bytes) {
        stream.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(bytes.data()));
        stream.avail_in = static_cast<std::uint32_t>(bytes.size());
        do {
            stream.next_out = reinterpret_cast<std::uint8_t*>(output.data());
            stream.avail_out = static_cast<std::uint32_t>(output.size());
            if (isal_deflate(&stream) != COMP_OK)
                throw Error(ErrorKind::internal, "gzip compression failed");
            below.write(std::string_view(output).substr(0, output.size() - stream.avail_out));
        } while (stream.avail_out == 0);
    }

    Sink& below;
    std::string output;
    std::vector<std::uint8_t> work;
    isal_zstream stream{};
};

GzipSink::GzipSink(Sink& below) : state_(std::make_unique<State>(below)) {}
GzipSink::~GzipSink() = default;

void GzipSink::write(std::string_view bytes) {
    constexpr std::size_t kStep = 1U << 30;  // the library counts in 32 bits
    for (; !bytes.empty(); bytes.remove_prefix(std::min(kStep, bytes.size())))
        state_->run(bytes.substr(0, kStep));
}

void GzipSink::finish() {
    state_->stream.end_of_stream = 1;
    do state_->run({});
    while (state_->stream.internal_state.state != ZSTATE_END);
}

std::unique_ptr<Source> make_gzip_decoder(Source& below) {
    return std::make_unique<GzipDecoder>(below);
}

}  // namespace berth::archive

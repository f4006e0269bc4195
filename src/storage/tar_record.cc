#include "storage/tar_record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "linux/rooted_path.h"

namespace berth::storage {
namespace {

constexpr const char* kRecordName = "/tar.gz";
constexpr const char* kReplacedName = "/replaced";
constexpr char kRaw = 'R';
constexpr char kFile = 'F';
constexpr std::size_t kRawLimit = 64U << 10;
constexpr std::uint64_t kMaxPath = 64U << 10;
constexpr std::uint64_t kMaxChunks = 2U << 20;

void append_number(std::string& to, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) to += static_cast<char>(0x80 | (value & 0x7f));
    to += static_cast<char>(value);
}

UniqueFd make_record(const std::string& path) {
    return open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
}

}  // namespace

TarRecorder::TarRecorder(const std::string& directory)
    : directory_(directory),
      file_(make_record(directory + kRecordName)),
      sink_(file_),
      compressed_(sink_) {}

TarRecorder::~TarRecorder() = default;

void TarRecorder::flush() {
    if (pending_.empty()) return;
    std::string head(1, kRaw);
    append_number(head, pending_.size());
    compressed_.write(head);
    compressed_.write(pending_);
    pending_.clear();
}

void TarRecorder::other(std::string_view bytes) {
    if (content_ != 0)
        throw Error(ErrorKind::internal, "{} bytes of an archive went to no file", content_);
    pending_ += bytes;
    if (pending_.size() >= kRawLimit) flush();
}

void TarRecorder::stored(const std::string& path, const std::vector<archive::TarChunk>& chunks) {
    flush();
    std::string segment(1, kFile);
    append_number(segment, path.size());
    segment += path;
    append_number(segment, chunks.size());
    for (const archive::TarChunk& chunk : chunks) {
        append_number(segment, static_cast<std::uint64_t>(chunk.offset));
        append_number(segment, static_cast<std::uint64_t>(chunk.size));
        content_ -= chunk.size;
    }
    compressed_.write(segment);
    ++segments_;
    if (content_ != 0)
        throw Error(ErrorKind::internal, "{}: {} bytes of its content are unaccounted for", path,
                    content_);
}

void TarRecorder::replace(BorrowedFd parent, const std::string& name, const std::string& path) {
    constexpr std::size_t kMaxReplaced = 65'536;
    if (replaced_.size() == kMaxReplaced)
        throw Error(ErrorKind::invalid, "the archive replaces more than {} of its own files",
                    kMaxReplaced);
    const std::string aside = directory_ + kReplacedName;
    if (replaced_.empty()) make_directories(aside, 0700);
    const std::string target = aside + "/" + std::to_string(replaced_.size());
    if (::renameat(parent.get(), name.c_str(), AT_FDCWD, target.c_str()) == 0)
        replaced_.push_back({segments_, path});
    else if (errno != ENOENT)
        throw_errno("moving {} aside", path);
}

void TarRecorder::finish() {
    flush();
    compressed_.finish();
    file_.reset();
}

struct TarReplay::State final {
    State(const std::string& layer, std::vector<ReplacedFile> moved)
        : directory(layer),
          replaced(std::move(moved)),
          root(open_file(layer + "/fs", O_PATH | O_DIRECTORY)),
          record(open_record(layer)),
          compressed(record),
          plain(compressed, archive::Expansion{.ratio = 0}) {}

    static UniqueFd open_record(const std::string& layer) {
        UniqueFd fd{::open((layer + kRecordName).c_str(), O_RDONLY | O_CLOEXEC)};
        if (!fd && errno == ENOENT)
            throw Error(ErrorKind::not_found,
                        "the layer was unpacked by a berth that kept no record of its archive; "
                        "pull or load its image again");
        if (!fd) throw_errno("opening {}{}", layer, kRecordName);
        return fd;
    }

    bool next_segment();
    std::size_t read_file(std::span<char> buffer);
    std::uint64_t number(std::uint64_t limit);
    int byte();
    UniqueFd open_content(const std::string& path) const;
    [[noreturn]] void damaged() const {
        throw Error(ErrorKind::internal, "{}{} is damaged", directory, kRecordName);
    }

    std::string directory;
    std::vector<ReplacedFile> replaced;
    UniqueFd root;
    UniqueFd record;
    archive::FdSource compressed;
    archive::DecompressSource plain;
    std::string buffered = {};  // of the decompressed record
    std::size_t at = 0;
    std::uint64_t segments = 0;

    std::uint64_t raw_left = 0;
    std::string path = {};
    UniqueFd content = {};
    std::vector<archive::TarChunk> chunks = {};
    std::size_t chunk = 0;
};

int TarReplay::State::byte() {
    if (at == buffered.size()) {
        buffered.resize(archive::kBlockSize);
        buffered.resize(plain.read(buffered));
        at = 0;
        if (buffered.empty()) return -1;
    }
    return static_cast<unsigned char>(buffered[at++]);
}

std::uint64_t TarReplay::State::number(std::uint64_t limit) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
        const int next = byte();
        if (next < 0) damaged();
        value |= static_cast<std::uint64_t>(next & 0x7f) << shift;
        if (next < 0x80) {
            if (value > limit) damaged();
            return value;
        }
    }
    damaged();
}

UniqueFd TarReplay::State::open_content(const std::string& wanted) const {
    for (std::size_t n = 0; n < replaced.size(); ++n) {
        const ReplacedFile& moved = replaced[n];
        if (moved.segments < segments) continue;
        if (wanted != moved.path && !wanted.starts_with(moved.path + "/")) continue;
        const UniqueFd aside = open_file(directory + kReplacedName, O_PATH | O_DIRECTORY);
        return linux_os::open_in_root(aside, std::to_string(n) + wanted.substr(moved.path.size()),
                                      O_RDONLY, linux_os::Resolve::no_symlinks);
    }
    return linux_os::open_in_root(root, wanted, O_RDONLY, linux_os::Resolve::no_symlinks);
}

bool TarReplay::State::next_segment() {
    const int kind = byte();
    if (kind < 0) return false;
    if (kind == kRaw) {
        raw_left = number(UINT64_MAX >> 1);
        return true;
    }
    if (kind != kFile) damaged();
    path.clear();
    for (std::uint64_t left = number(kMaxPath); left > 0; --left) path += static_cast<char>(byte());
    chunks.clear();
    chunk = 0;
    constexpr std::uint64_t kMaxOffset = UINT64_MAX >> 1;
    for (std::uint64_t left = number(kMaxChunks); left > 0; --left) {
        const auto offset = static_cast<std::int64_t>(number(kMaxOffset));
        chunks.push_back({offset, static_cast<std::int64_t>(number(kMaxOffset))});
    }
    ++segments;
    content = open_content(path);
    return true;
}

std::size_t TarReplay::State::read_file(std::span<char> buffer) {
    archive::TarChunk& left = chunks[chunk];
    const auto wanted = std::min<std::size_t>(buffer.size(), static_cast<std::size_t>(left.size));
    const ssize_t count = ::pread(content.get(), buffer.data(), wanted, left.offset);
    if (count < 0) throw_errno("reading {}", path);
    if (count == 0)
        throw Error(ErrorKind::internal, "{} in layer {} is shorter than it was", path, directory);
    left.offset += count;
    left.size -= count;
    return static_cast<std::size_t>(count);
}

TarReplay::TarReplay(const std::string& directory, std::vector<ReplacedFile> replaced)
    : state_(std::make_unique<State>(directory, std::move(replaced))) {}

TarReplay::~TarReplay() = default;

std::size_t TarReplay::read(std::span<char> buffer) {
    State& state = *state_;
    for (;;) {
        if (state.raw_left > 0) {
            if (state.at == state.buffered.size()) {
                if (state.byte() < 0) state.damaged();
                --state.at;
            }
            const std::size_t count = std::min<std::uint64_t>(
                {state.raw_left, state.buffered.size() - state.at, buffer.size()});
            std::copy_n(state.buffered.data() + state.at, count, buffer.data());
            state.at += count;
            state.raw_left -= count;
            return count;
        }
        while (state.chunk < state.chunks.size() && state.chunks[state.chunk].size == 0)
            ++state.chunk;
        if (state.chunk < state.chunks.size()) return state.read_file(buffer);
        if (!state.next_segment()) return 0;
    }
}

}  // namespace berth::storage

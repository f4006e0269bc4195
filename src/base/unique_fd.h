// Ownership of file descriptors. UniqueFd closes what it owns; BorrowedFd lends without owning.
// Every descriptor of berth is CLOEXEC from birth; what a child inherits is said at spawn.
#pragma once

#include <utility>

namespace berth {

/// A file descriptor lent for the time of a call; never closed by the borrower.
class BorrowedFd final {
  public:
    constexpr BorrowedFd() = default;
    constexpr explicit BorrowedFd(int fd) : fd_(fd) {}
    constexpr int get() const { return fd_; }
    constexpr explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

/// Owns one file descriptor and closes it at the end of its life. Move-only.
class UniqueFd final {
  public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) reset(std::exchange(other.fd_, -1));
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    int get() const { return fd_; }
    BorrowedFd borrow() const { return BorrowedFd{fd_}; }
    operator BorrowedFd() const { return borrow(); }  // NOLINT: lending is meant to be silent
    explicit operator bool() const { return fd_ >= 0; }
    /// Gives the descriptor away; the caller closes it.
    int release() { return std::exchange(fd_, -1); }
    /// Closes what is held and takes `fd` instead.
    void reset(int fd = -1) noexcept;

  private:
    int fd_ = -1;
};

/// Both ends of a pipe(2), CLOEXEC. Throws Error.
struct Pipe final {
    UniqueFd read;
    UniqueFd write;
    static Pipe make();
};

/// A CLOEXEC duplicate of `fd`. Throws Error.
UniqueFd duplicate(BorrowedFd fd);

}  // namespace berth

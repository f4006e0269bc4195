#include "net/dns_forwarder.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"

namespace berth::net {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxQuestions = 1024;
constexpr std::size_t kMaxServers = 3;  // as the resolver library and Docker's server
// A stub resolver asks again after 5 s: by then another server has had its chance.
constexpr milliseconds kPatience{2000};
constexpr milliseconds kLastPatience{4000};
// How exactly deadlines are kept.
constexpr milliseconds kTick{100};

std::string framed(const std::string& message) {
    std::string text;
    text += static_cast<char>(message.size() >> 8);
    text += static_cast<char>(message.size() & 0xff);
    return text + message;
}

}  // namespace

class DnsForwarder::Question final : public PollTarget {
  public:
    Question(DnsForwarder& forwarder, DnsForward request)
        : forwarder_(forwarder), request_(std::move(request)) {
        if (request_.servers.size() > kMaxServers) request_.servers.resize(kMaxServers);
    }
    ~Question() override { close(); }

    bool is_over() const { return over_; }
    SteadyTime deadline() const { return deadline_; }

    void ask_next() {
        close();
        while (next_ < request_.servers.size()) {
            const linux_os::SocketAddress& server = request_.servers[next_++];
            if (ask(server)) return;
        }
        finish(best_.empty() ? failure() : std::move(best_));
    }

    void fail() { finish(failure()); }

    void report() {
        if (request_.done) std::exchange(request_.done, {})(std::move(reply_));
    }

    void on_events(std::uint32_t events) override {
        if (over_ || !socket_) return;
        if (request_.transport == Transport::udp) return read_datagram();
        if (events & EPOLLOUT && sent_ < outgoing_.size()) write_stream();
        if (socket_ && !over_ && events & (EPOLLIN | EPOLLERR | EPOLLHUP)) read_stream();
    }

  private:
    bool ask(const linux_os::SocketAddress& server) {
        try {
            socket_ = request_.make_socket(request_.transport, server.family());
        } catch (const Error&) {
            return false;
        }
        if (!socket_) return false;
        id_ = static_cast<std::uint16_t>(forwarder_.random_());
        outgoing_ = with_dns_id(request_.message, id_);
        incoming_.clear();
        sent_ = 0;
        const bool last = next_ == request_.servers.size();
        deadline_ = std::chrono::steady_clock::now() + (last ? kLastPatience : kPatience);
        const int result = ::connect(socket_.get(), server.get(), server.length());
        const bool stream = request_.transport == Transport::tcp;
        if (result < 0 && !(stream && errno == EINPROGRESS)) return drop();
        if (stream) outgoing_ = framed(outgoing_);
        if (!stream && ::send(socket_.get(), outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL) < 0)
            return drop();
        try {
            forwarder_.poller_.add(socket_, *this,
                                   stream ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN | EPOLLET);
        } catch (const Error&) {
            return drop();
        }
        watched_ = true;
        return true;
    }

    bool drop() {
        socket_.reset();
        return false;
    }

    void close() {
        if (std::exchange(watched_, false)) forwarder_.poller_.remove(socket_);
        socket_.reset();
    }

    void read_datagram() {
        std::array<char, 65536>& buffer = room();
        for (;;) {
            const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0 && errno == EAGAIN) return;
            if (count < 0) return ask_next();  // nobody listens there
            if (take(std::string(buffer.data(), static_cast<std::size_t>(count)))) return;
        }
    }

    void write_stream() {
        const ssize_t count =
            ::send(socket_.get(), outgoing_.data() + sent_, outgoing_.size() - sent_, MSG_NOSIGNAL);
        if (count >= 0) sent_ += static_cast<std::size_t>(count);
        if (count < 0 && errno != EAGAIN && errno != EINTR) ask_next();
    }

    void read_stream() {
        std::array<char, 65536>& buffer = room();
        for (;;) {
            const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0 && errno == EAGAIN) return;
            if (count <= 0) return ask_next();
            incoming_.append(buffer.data(), static_cast<std::size_t>(count));
            if (incoming_.size() < 2) continue;
            const std::size_t length = static_cast<unsigned char>(incoming_[0]) * 256U +
                                       static_cast<unsigned char>(incoming_[1]);
            if (incoming_.size() < length + 2) continue;
            if (!take(incoming_.substr(2, length))) ask_next();
            return;
        }
    }

    /// False when the message is not the reply.
    bool take(std::string message) {
        const auto code = dns_reply_code(message, request_.query, id_);
        if (!code) return false;
        message = with_dns_id(std::move(message), request_.query.id);
        if (*code == DnsCode::server_failure || *code == DnsCode::refused ||
            *code == DnsCode::not_implemented) {
            // Another server may know better; else its words are passed on.
            best_ = std::move(message);
            ask_next();
        } else {
            finish(std::move(message));
        }
        return true;
    }

    std::string failure() const {
        return dns_reply(request_.query, {.code = DnsCode::server_failure}, kPlainUdpLimit);
    }

    void finish(std::string reply) {
        close();
        reply_ = std::move(reply);
        over_ = true;
    }

    static std::array<char, 65536>& room() {
        static std::array<char, 65536> buffer;  // of the one DNS thread
        return buffer;
    }

    DnsForwarder& forwarder_;
    DnsForward request_;
    std::size_t next_ = 0;
    UniqueFd socket_;
    bool watched_ = false;
    std::uint16_t id_ = 0;
    std::string outgoing_;
    std::size_t sent_ = 0;
    std::string incoming_;
    SteadyTime deadline_{};
    std::string best_;
    std::string reply_;
    bool over_ = false;
};

DnsForwarder::DnsForwarder(Poller& poller) : poller_(poller) {}

DnsForwarder::~DnsForwarder() = default;

std::size_t DnsForwarder::room() const {
    return kMaxQuestions - std::min(kMaxQuestions, questions_.size());
}

void DnsForwarder::forward(DnsForward request) {
    const bool full = questions_.size() >= kMaxQuestions;
    questions_.push_back(std::make_unique<Question>(*this, std::move(request)));
    if (full)
        questions_.back()->fail();
    else
        questions_.back()->ask_next();
}

int DnsForwarder::finish_round(SteadyTime now) {
    for (const auto& question : questions_)
        if (!question->is_over() && question->deadline() <= now) question->ask_next();
    std::list<std::unique_ptr<Question>> over;
    for (auto at = questions_.begin(); at != questions_.end();) {
        const auto next = std::next(at);
        if ((*at)->is_over()) over.splice(over.end(), questions_, at);
        at = next;
    }
    for (const auto& question : over) question->report();
    return questions_.empty() ? -1 : static_cast<int>(kTick.count());
}

}  // namespace berth::net

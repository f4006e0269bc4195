// berth-init PROGRAM [ARGUMENTS]: process 1 of a container started with --init. Runs the program
// as its child, forwards signals to it, reaps the orphans that fall to process 1, and exits as
// the child did: its status, or 128 + the signal. Uses libc only, for size.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <initializer_list>

namespace {

void say(const char* what, const char* object) {
    const char* reason = std::strerror(errno);
    for (const char* part : {"berth-init: ", what, object, ": ", reason, "\n"})
        (void)!::write(STDERR_FILENO, part, std::strlen(part));
}

// Signals of faults in ourselves stay as they are; job control stops must not stop process 1.
sigset_t forwarded_signals() {
    sigset_t signals;
    ::sigfillset(&signals);
    for (const int own :
         {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU})
        ::sigdelset(&signals, own);
    return signals;
}

// The child leads a process group of its own, in the foreground of the terminal if there is one,
// so that what the terminal sends reaches it once and not twice.
[[noreturn]] void become_child(char** argv, const sigset_t& mask) {
    ::setpgid(0, 0);
    if (::tcsetpgrp(STDIN_FILENO, ::getpgrp()) < 0 && errno != ENOTTY && errno != ENXIO)
        say("taking the terminal", "");
    ::signal(SIGTTIN, SIG_DFL);
    ::signal(SIGTTOU, SIG_DFL);
    ::sigprocmask(SIG_SETMASK, &mask, nullptr);
    ::execvp(argv[0], argv);
    const int error = errno;
    say("executing ", argv[0]);
    ::_exit(error == ENOENT ? 127 : 126);
}

// The child's exit code once it has ended, else -1.
int reap(pid_t child) {
    int result = -1;
    for (;;) {
        int status = 0;
        const pid_t pid = ::waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == EINTR) continue;
        if (pid <= 0) return result;
        if (pid == child)
            result = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
}

}  // namespace

int main(int argc, char** argv) {
    int first = 1;
    if (argc > 1 && std::strcmp(argv[1], "--") == 0) first = 2;  // as callers of tini write it
    if (argc <= first) {
        errno = EINVAL;
        say("no program given", "");
        return 2;
    }
    const sigset_t signals = forwarded_signals();
    sigset_t before;
    ::sigprocmask(SIG_BLOCK, &signals, &before);
    // Else taking the terminal for the child would stop us.
    ::signal(SIGTTIN, SIG_IGN);
    ::signal(SIGTTOU, SIG_IGN);
    const pid_t child = ::fork();
    if (child < 0) {
        say("making a child", "");
        return 1;
    }
    if (child == 0) become_child(argv + first, before);
    for (;;) {
        const int number = ::sigwaitinfo(&signals, nullptr);
        if (number > 0 && number != SIGCHLD) ::kill(child, number);
        const int code = number == SIGCHLD ? reap(child) : -1;
        if (code >= 0) return code;
    }
}

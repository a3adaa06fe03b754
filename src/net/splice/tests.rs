use nix::errno::Errno;

use super::*;

const SIZES: [Size; 3] = [Size::Usual, Size::Large, Size::Huge];

#[test]
fn a_pipe_grows_with_what_its_transfer_has_moved() {
    for (moved, size) in [
        (0, Size::Usual),
        (LARGE_AFTER - 1, Size::Usual),
        (LARGE_AFTER, Size::Large),
        (HUGE_AFTER, Size::Huge),
        (u64::MAX, Size::Huge),
    ] {
        assert_eq!(Size::for_transfer(moved), size, "{moved}");
    }
    let mut pipe = Pipe::open().unwrap();
    pipe.grow(HUGE_AFTER);
    let capacity = fcntl(&pipe.writer, FcntlArg::F_GETPIPE_SZ).unwrap();
    // Other tests may have the budget, or the kernel refuse.
    assert!(SIZES.contains(&pipe.size));
    assert_eq!(usize::try_from(capacity).unwrap(), pipe.size.capacity());
}

#[test]
fn a_size_that_the_kernel_refuses_is_not_counted_and_not_asked_for_again() {
    for error in [Errno::EPERM, Errno::ENOMEM] {
        let mut pipe = Pipe::open().unwrap();
        pipe.resize(Size::Large, |_, _| Err(error));
        assert_eq!(pipe.size, Size::Usual);
        assert_eq!(pipe.size.growth(), 0, "nothing to give back");
        pipe.asked = Size::Large;
        pipe.grow(LARGE_AFTER);
        assert_eq!(pipe.size, Size::Usual);
    }
}

#[test]
fn the_pipes_of_long_transfers_leave_half_of_the_budget_to_others() {
    // Above what this process can have: the budget alone says no, whatever other tests do.
    let huge = GROWN_BUDGET / 2 / Size::Huge.growth() + 1;
    let mut pipes: Vec<Pipe> = (0..huge).map(|_| Pipe::open().unwrap()).collect();
    for pipe in &mut pipes {
        pipe.resize(Size::Huge, |_, capacity| Ok(capacity));
    }
    assert!(pipes.iter().any(|pipe| pipe.size == Size::Usual));
    assert!(GROWN.load(Ordering::Relaxed) <= GROWN_BUDGET);
}

#[test]
fn a_pooled_pipe_goes_to_a_transfer_of_its_size_before_others() {
    let of = |size| {
        let mut pipe = Pipe::open().unwrap();
        pipe.resize(size, |_, capacity| Ok(capacity));
        pipe
    };
    let mut pool = vec![of(Size::Usual), of(Size::Large), of(Size::Usual)];
    assert_eq!(from_pool(&mut pool, Size::Large).unwrap().size, Size::Large);
    assert_eq!(from_pool(&mut pool, Size::Large).unwrap().size, Size::Usual);
    assert_eq!(from_pool(&mut pool, Size::Usual).unwrap().size, Size::Usual);
    assert!(from_pool(&mut pool, Size::Usual).is_none());
}

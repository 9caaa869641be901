"""Operations that processors compute faster than torch does, with the numbers of torch."""
